//! Who leaves the group, who comes back, and what is to be done after a batch that did not go through.
//! Pure: what is stored has been read elsewhere, time is an argument.

use std::time::Duration;

use infra::log::{Checkpoint, Offset};
use tokio::time::Instant;

use crate::store::checkpoints::StoredCheckpoint;

/// Tries while others hold some of the checkpoints, each after a longer wait than the last one; then
/// these go on by themselves. Whoever looks at a checkpoint holds it for a moment.
pub(super) const HELD_TRIES_MAX: u32 = 5;
/// A member that took less holds up nobody for long.
const SLOW_MIN: Duration = Duration::from_millis(500);
/// How long a projection goes on by itself at least, when it has left the group. It doubles each time
/// that it leaves soon after it has come back: one that fails on each of its events costs the others one
/// batch's time a minute.
const ALONE_MIN: Duration = Duration::from_secs(1);
const ALONE_MAX: Duration = Duration::from_secs(60);
/// Soon is within so many times of what it was alone for.
const SOON: u32 = 10;
/// Records that it may be ahead of the others when it comes back: it stands still until they are there.
const APART_MAX: Offset = 1_000;
/// Where a group stands that has no member.
pub(super) const NOWHERE: Offset = -1;

/// What has become of a member's checkpoint by a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is behind the batch.
    In,
    /// It is where it was.
    Same,
    /// It is where it was, and operators have changed what is parked.
    Changed,
    /// Somebody else has moved it.
    Elsewhere,
    /// The version has been dropped.
    Gone,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on: the batch is in, for all.
    In,
    /// Begin anew: somebody else serves the shard.
    Lost,
    /// Try at once without these, by their indexes.
    Without(Vec<usize>),
    /// Try again in a moment.
    Again,
}

/// A time that a projection was alone for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Away {
    pub since: Instant,
    pub wait: Duration,
}

/// What has become of a checkpoint that stood at `from`, with this count of changes to its letters.
#[must_use]
pub(super) fn fate(
    from: &Checkpoint,
    letters: i64,
    to: &Checkpoint,
    stored: Option<&StoredCheckpoint>,
) -> Fate {
    match stored {
        None => Fate::Gone,
        Some(stored) if stored.checkpoint == *to => Fate::In,
        Some(stored) if stored.checkpoint != *from => Fate::Elsewhere,
        Some(stored) if stored.letters != letters => Fate::Changed,
        Some(_) => Fate::Same,
    }
}

/// What is to be done after a try in which the checkpoints of `unmoved` did not move, or nothing is
/// known of any, and which was the `tries`th in a row.
#[must_use]
pub(super) fn judge(fates: &[Fate], unmoved: &[usize], tries: u32) -> Verdict {
    let count = |fate| fates.iter().filter(|it| **it == fate).count();
    if count(Fate::In) == fates.len() {
        return Verdict::In;
    }
    // All were moved by one transaction or none was: this was another's.
    if count(Fate::In) > 0 {
        return Verdict::Lost;
    }
    if count(Fate::Elsewhere) > 0 && count(Fate::Elsewhere) + count(Fate::Gone) == fates.len() {
        return Verdict::Lost;
    }
    let others: Vec<usize> =
        (0..).zip(fates).filter(|(_, fate)| **fate != Fate::Same).map(|(index, _)| index).collect();
    if !others.is_empty() {
        return Verdict::Without(others);
    }
    // Who holds all of them holds up nobody but all of them.
    if tries >= HELD_TRIES_MAX && (1..fates.len()).contains(&unmoved.len()) {
        return Verdict::Without(unmoved.to_vec());
    }
    Verdict::Again
}

/// Who has held up the others with a batch that went through: it took long, and longer than all of them
/// together. Where all take long it is the machine.
#[must_use]
pub(super) fn held_up(taken: &[Duration]) -> Option<usize> {
    let (index, longest) = taken.iter().enumerate().max_by_key(|(_, took)| **took)?;
    let others = taken.iter().sum::<Duration>().saturating_sub(*longest);
    (taken.len() > 1 && *longest > SLOW_MIN && *longest > others).then_some(index)
}

/// For how long a projection that leaves now goes on by itself at least.
#[must_use]
pub(super) fn alone_for(last: Option<&Away>, now: Instant) -> Duration {
    match last {
        Some(last) if now < last.since + last.wait * SOON => (last.wait * 2).min(ALONE_MAX),
        _ => ALONE_MIN,
    }
}

/// Whether a projection that stands at `own` may come back to a group that stands at `group`. It reads
/// what the group reads, and writes less: so it gets ahead of it, unless it takes longer for its own
/// part than the others for all.
#[must_use]
pub(crate) fn may_come_back(
    own: Offset,
    group: Offset,
    alone_until: Instant,
    now: Instant,
) -> bool {
    let is_level = group == NOWHERE || (group..=group.saturating_add(APART_MAX)).contains(&own);
    is_level && now >= alone_until
}

/// The checkpoint that most of these share, and of several such the furthest: there the group begins.
#[must_use]
pub(crate) fn beginning(checkpoints: &[Checkpoint]) -> Option<Checkpoint> {
    let shared_by = |at: &Checkpoint| checkpoints.iter().filter(|it| *it == at).count();
    checkpoints.iter().max_by_key(|at| (shared_by(at), at.next_offset)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next_offset: Offset) -> Checkpoint {
        Checkpoint { next_offset, ..Checkpoint::START }
    }

    #[track_caller]
    fn check_fate(stored: Option<(Offset, i64)>, expected: Fate) {
        let stored =
            stored.map(|(offset, letters)| StoredCheckpoint { checkpoint: at(offset), letters });
        assert_eq!(fate(&at(5), 2, &at(8), stored.as_ref()), expected);
    }

    #[test]
    fn the_stored_checkpoint_tells_what_became_of_a_try() {
        check_fate(None, Fate::Gone);
        check_fate(Some((8, 2)), Fate::In);
        check_fate(Some((8, 3)), Fate::In);
        check_fate(Some((5, 2)), Fate::Same);
        check_fate(Some((5, 3)), Fate::Changed);
        check_fate(Some((6, 2)), Fate::Elsewhere);
    }

    #[track_caller]
    fn check(fates: &[Fate], unmoved: &[usize], tries: u32, expected: Verdict) {
        assert_eq!(judge(fates, unmoved, tries), expected, "{fates:?}");
    }

    #[test]
    fn a_commit_whose_answer_was_lost_is_in_for_all_or_was_anothers() {
        check(&[Fate::In, Fate::In], &[], 1, Verdict::In);
        check(&[Fate::In, Fate::Same], &[], 1, Verdict::Lost);
        check(&[Fate::Same, Fate::Same], &[], 1, Verdict::Again);
    }

    #[test]
    fn who_lost_alone_leaves_alone() {
        check(&[Fate::Same, Fate::Elsewhere], &[1], 1, Verdict::Without(vec![1]));
        check(&[Fate::Changed, Fate::Same, Fate::Gone], &[0, 2], 1, Verdict::Without(vec![0, 2]));
        check(&[Fate::Changed, Fate::Changed], &[0, 1], 1, Verdict::Without(vec![0, 1]));
        check(&[Fate::Gone], &[0], 1, Verdict::Without(vec![0]));
    }

    #[test]
    fn who_finds_all_moved_has_lost_the_shard() {
        check(&[Fate::Elsewhere, Fate::Elsewhere], &[0, 1], 1, Verdict::Lost);
        check(&[Fate::Elsewhere, Fate::Gone], &[0, 1], 1, Verdict::Lost);
        check(&[Fate::Elsewhere], &[0], 1, Verdict::Lost);
    }

    #[test]
    fn a_checkpoint_that_is_held_is_waited_for_a_little_and_all_of_them_for_ever() {
        let same = [Fate::Same; 3];
        check(&same, &[1], HELD_TRIES_MAX - 1, Verdict::Again);
        check(&same, &[1], HELD_TRIES_MAX, Verdict::Without(vec![1]));
        check(&same, &[0, 1, 2], HELD_TRIES_MAX, Verdict::Again);
        check(&same, &[], HELD_TRIES_MAX, Verdict::Again);
    }

    #[test]
    fn who_takes_longer_than_all_others_leaves() {
        let took = |millis: &[u64]| {
            let taken: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            held_up(&taken)
        };
        assert_eq!(took(&[1, 900, 2]), Some(1));
        assert_eq!(took(&[1, 400, 2]), None);
        assert_eq!(took(&[800, 900, 700]), None);
        assert_eq!(took(&[900]), None);
        assert_eq!(took(&[]), None);
    }

    #[test]
    fn who_leaves_again_and_again_stays_away_longer_and_longer() {
        let now = Instant::now();
        let mut away = None;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = alone_for(away.as_ref(), now);
            waits.push(wait.as_secs());
            away = Some(Away { since: now, wait });
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        let long_ago = Away { since: now, wait: ALONE_MIN };
        assert_eq!(alone_for(Some(&long_ago), now + Duration::from_secs(11)), ALONE_MIN);
    }

    #[test]
    fn who_is_as_far_as_the_group_comes_back_when_its_time_is_over() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert!(may_come_back(7, 7, now, now));
        assert!(may_come_back(9, 7, now, now), "the others come up with it");
        assert!(!may_come_back(6, 7, now, now));
        assert!(!may_come_back(8 + APART_MAX, 7, now, now), "it would wait for too long");
        assert!(!may_come_back(7, 7, later, now));
        assert!(may_come_back(7, NOWHERE, now, now), "the first one of a group is where it is");
    }

    #[test]
    fn a_group_begins_where_most_stand() {
        assert_eq!(beginning(&[at(5), at(9), at(5)]), Some(at(5)));
        assert_eq!(beginning(&[at(5), at(9)]), Some(at(9)));
        assert_eq!(beginning(&[]), None);
    }
}
