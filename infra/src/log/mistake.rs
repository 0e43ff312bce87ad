//! Mistakes on purpose: what a simulation plants to learn whether its checks would notice.
//!
//! Each stands for one rule of the protocol that an implementation could miss. Where a rule is
//! kept, the reader machine and the engine ask whether its mistake is planted.
//!
//! **Invariant:** without the feature `simulation` nothing can plant a mistake, and the answer is a
//! constant no. With it, only [`Mistakes::planted`] can, which no service calls.

macro_rules! mistakes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// A rule that is not kept.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mistake { $($(#[doc = $doc])+ $variant),+ }

        impl Mistake {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

mistakes! {
    // Reading.
    /// A reader takes records of any epoch.
    ReaderIgnoresEpoch = "reader_ignores_epoch",
    /// A reader takes the records of a commit in any order, and some of them twice.
    ReaderIgnoresIndex = "reader_ignores_index",
    /// A reader takes a commit with the number of the last one.
    ReaderTakesLastSeq = "reader_takes_last_seq",
    /// A reader takes a commit although the one before it is missing.
    ReaderTakesGap = "reader_takes_gap",
    /// A reader goes on with half a commit after a claim.
    PartialKeptOverClaim = "partial_kept_over_claim",
    /// A checkpoint holds neither epoch nor claim.
    CheckpointWithoutEpoch = "checkpoint_without_epoch",
    /// A checkpoint tells how far was read, which may be the middle of a commit.
    CheckpointInsideCommit = "checkpoint_inside_commit",

    // Claiming.
    /// A writer numbers its commits from 1.
    SeqRestarts = "seq_restarts",
    /// A writer serves as soon as its claim is sent, at the epoch that it expects to get.
    ServedBeforeClaimReport = "served_before_claim_report",
    /// A writer takes the end of what it has read for the place of a claim without an offset, and
    /// any claim there for its own.
    ClaimOffsetGuessed = "claim_offset_guessed",
    /// A writer that claims again replays nothing of what others wrote since it last read.
    ReplayToOldEnd = "replay_to_old_end",
    /// A replay fills no dedup table.
    DedupNotRebuilt = "dedup_not_rebuilt",
    /// What was decided and not confirmed outlives the epoch.
    SpeculationKeptOverFreeze = "speculation_kept_over_freeze",
    /// Refusals of the old epoch are answered by the new one, and not decided again.
    OutcomesKeptOverClaim = "outcomes_kept_over_claim",
    /// A pending command is held for done when the replay finds its number, whosever it is.
    ResolvedBySeqAlone = "resolved_by_seq_alone",
    /// A writer that gives up forgets who waits.
    WaitersForgotten = "waiters_forgotten",
    /// A writer that gives up tells those who wait that nothing happened, and goes on all the same.
    RefusedAndKept = "refused_and_kept",

    // Reports.
    /// A command is answered from the report of its record, whatever stands before it.
    AnsweredFromReport = "answered_from_report",
    /// What others wrote between two own records is not read.
    HoleSkipped = "hole_skipped",
    /// A report is taken for that of the oldest record under way.
    ReportMatchedByPosition = "report_matched_by_position",
    /// A success without an offset is held for one at the offset that is due.
    MissingOffsetGuessed = "missing_offset_guessed",
    /// A failed append is passed over.
    FailedAppendIgnored = "failed_append_ignored",
    /// A failed append is held for one that never happened.
    FailureTakenForAbsence = "failure_taken_for_absence",

    // Answers.
    /// Refusals are answered as soon as they are decided.
    RefusalsAnsweredAtOnce = "refusals_answered_at_once",
    /// Refusals are answered when a barrier is emitted that was under way before them.
    BarrierInFlightCounted = "barrier_in_flight_counted",
    /// A repeated command is answered from what is only decided.
    DedupFromSpeculation = "dedup_from_speculation",
    /// Only commits are remembered: a refused command is decided again when it is repeated.
    RefusalsForgotten = "refusals_forgotten",
    /// A command id is answered although it comes with another request.
    RequestHashIgnored = "request_hash_ignored",
    /// If-Match is not compared.
    IfMatchIgnored = "if_match_ignored",
    /// Commands are decided on the confirmed state, as if nothing were under way.
    DecidedOnConfirmed = "decided_on_confirmed",
    /// A read shows what this node has confirmed, without a proof that it is the owner still.
    ReadsUnproven = "reads_unproven",
    /// A read is proven by a record that was under way before it.
    RecordUnderWayProves = "record_under_way_proves",
    /// Reads show what is only decided.
    ReadsShowSpeculation = "reads_show_speculation",
    /// A shard's time follows the clock backwards.
    TimeRunsBack = "time_runs_back",
    /// No deadline is ever decided.
    DeadlinesIgnored = "deadlines_ignored",

    // Saving.
    /// What was taken leaves memory before it is written.
    ForgottenWhenTaken = "forgotten_when_taken",
    /// States are saved as they were decided, confirmed or not.
    SpeculationSaved = "speculation_saved",
    /// The outcomes of commands are not saved.
    OutcomesNotSaved = "outcomes_not_saved",
    /// The deadlines of states are not saved.
    DeadlinesNotSaved = "deadlines_not_saved",
    /// A machine goes on although its store could not be read.
    StoreFailureIgnored = "store_failure_ignored",
}

/// The mistake that is planted, if one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mistakes {
    #[cfg(feature = "simulation")]
    planted: Option<Mistake>,
}

impl Mistakes {
    #[cfg(feature = "simulation")]
    #[must_use]
    pub const fn planted(mistake: Option<Mistake>) -> Self {
        Self { planted: mistake }
    }

    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn has(self, mistake: Mistake) -> bool {
        self.planted == Some(mistake)
    }

    #[cfg(not(feature = "simulation"))]
    #[must_use]
    pub const fn has(self, _: Mistake) -> bool {
        false
    }
}
