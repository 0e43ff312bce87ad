//! The loads under which it is measured what a command costs.

/// A load and what its commands are meant to cost at most.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) sending: Sending,
    /// Of processor time, each.
    pub(super) milliseconds: Option<f64>,
    /// In PostgreSQL, each.
    pub(super) commits: Option<f64>,
}

#[derive(Clone, Copy)]
pub(super) enum Sending {
    /// So many clients, each of which sends the next command when it has its answer.
    InTurn(usize),
    PerSecond(f64),
    Nothing,
}

impl Case {
    pub(super) const ALL: [Self; 9] = [
        Self::aimed("with_one_client", Sending::InTurn(1), 1.0).commits(1.2),
        Self::of("with_16_clients", Sending::InTurn(16)),
        Self::of("at_100", Sending::PerSecond(100.0)),
        Self::of("at_500", Sending::PerSecond(500.0)),
        Self::aimed("at_1000", Sending::PerSecond(1_000.0), 0.8).commits(0.5),
        Self::of("at_2000", Sending::PerSecond(2_000.0)),
        Self::aimed("at_4000", Sending::PerSecond(4_000.0), 0.3),
        Self::of("at_top", Sending::InTurn(256)),
        Self::of("idle", Sending::Nothing),
    ];

    const fn of(name: &'static str, sending: Sending) -> Self {
        Self { name, sending, milliseconds: None, commits: None }
    }

    const fn aimed(name: &'static str, sending: Sending, milliseconds: f64) -> Self {
        Self { milliseconds: Some(milliseconds), ..Self::of(name, sending) }
    }

    const fn commits(self, commits: f64) -> Self {
        Self { commits: Some(commits), ..self }
    }
}
