//! What handlers work with, and the one way to hand a command to the engine.

use std::{collections::BTreeSet, ops::Deref, sync::Arc, time::Duration};

use axum::{extract::FromRef, http::StatusCode};
use domain::{Listed, envelope::Revision, id::StreamId};
use infra::{auth::Authenticator, clock::Clock, http::problem::Problem, membership::seal::Gate};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{directory::EngineDirectory, engine_slot::EngineSlot, open_checkouts::OpenCheckouts};
use crate::{
    engine::{
        Answer, Answered, Ask, Consistency, Found, ReadError, Snapshot, Submission, SubmitError,
    },
    payment::{Desk, WebhookSecret},
};

/// How long a glance may take: less than what it spares.
const GLANCE_WAIT_MAX: Duration = Duration::from_millis(50);

/// Cheap to clone: the router does so several times for each request.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What all clones of an [`AppState`] have in common.
pub struct Shared {
    pub(super) engine: EngineSlot,
    pub(super) authenticator: Authenticator,
    pub(super) clock: Clock,
    pub(super) cart_token_secret: SecretString,
    pub(super) desk: Desk,
    pub(super) open_checkouts: OpenCheckouts,
    /// Without one no webhook is believed.
    pub(super) webhook_secret: Option<Arc<WebhookSecret>>,
    /// Without one no node is believed.
    pub(super) gate: Option<Arc<Gate>>,
}

/// A clone costs no more than a count.
const _: () = assert!(size_of::<AppState>() == size_of::<usize>());

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What a service gives its handlers.
pub struct Ingredients {
    pub engine: EngineSlot,
    pub clock: Clock,
    pub auth: infra::config::Auth,
    pub desk: Desk,
    pub webhook_secret: Option<WebhookSecret>,
    pub gate: Option<Gate>,
    /// Checkouts that guests behind one address may have open.
    pub open_checkouts_max: usize,
}

impl AppState {
    #[must_use]
    pub fn new(ingredients: Ingredients) -> Self {
        let Ingredients { engine, clock, auth, desk, webhook_secret, gate, .. } = ingredients;
        let secret = auth.cart_token_secret;
        let directory = Arc::new(EngineDirectory::new(engine.clone(), secret.clone()));
        let authenticator = Authenticator::new(
            auth.operator_key_sha256,
            directory,
            clock.clone(),
            Some(secret.clone()),
        );
        Self(Arc::new(Shared {
            engine,
            authenticator,
            clock,
            cart_token_secret: secret,
            desk,
            open_checkouts: OpenCheckouts::new(ingredients.open_checkouts_max),
            webhook_secret: webhook_secret.map(Arc::new),
            gate: gate.map(Arc::new),
        }))
    }

    /// [`Engine::submit`].
    pub(super) async fn submit(
        &self,
        submission: Submission,
        deadline: Instant,
    ) -> Result<Answer, SubmitError> {
        let Ok(engine) = self.engine.get() else { return Err(SubmitError::NotOwner) };
        engine.submit(submission, deadline).await
    }

    pub(super) async fn read<A: Listed>(&self, id: &A::Id) -> Result<Snapshot<Arc<A>>, Problem> {
        self.read_many(BTreeSet::from([StreamId::of::<A>(id)])).await?.get(id).map_err(unread)
    }

    /// A stream that has reached a revision which its shard's owner has told of: mostly it still is the
    /// owner, and shows it without a round through the log.
    pub(super) async fn read_from<A: Listed>(
        &self,
        id: &A::Id,
        revision: Revision,
    ) -> Result<Snapshot<Arc<A>>, Problem> {
        match self.engine.get()?.read(id, Consistency::Serializable).await {
            Ok(snapshot) if snapshot.revision >= revision => Ok(snapshot),
            Ok(_) | Err(_) => self.read(id).await,
        }
    }

    /// What a stream was a moment ago, for a guess that is looked at again: without a round through the
    /// log, if this node serves it.
    pub(super) async fn glance<A: Listed>(&self, id: &A::Id) -> Option<Snapshot<Arc<A>>> {
        let engine = self.engine.get().ok()?;
        let stream = StreamId::of::<A>(id);
        let (shard, consistency) = (engine.shard_of(&stream), Consistency::Serializable);
        let ask = Ask::Read { shard, streams: vec![stream], consistency };
        match engine.ask_here(ask, Instant::now() + GLANCE_WAIT_MAX).await.ok()? {
            Answered::Shown(shown) => shown.snapshots.first()?.of(),
            Answered::Submitted(_) | Answered::Known(_) => None,
        }
    }

    /// All of these streams, or none, of all shards that are asked, or of none: each is asked for once,
    /// however often it is named.
    pub(super) async fn read_many(&self, streams: BTreeSet<StreamId>) -> Result<Found, Problem> {
        let found = self.engine.get()?.read_many(&streams, Consistency::Linearizable);
        found.await.map_err(unread)
    }
}

impl FromRef<AppState> for Authenticator {
    fn from_ref(app: &AppState) -> Self {
        app.authenticator.clone()
    }
}

/// Why there is no answer although a part has happened: whatever is in the way, a retry tells.
pub(super) fn unfinished(error: SubmitError) -> Problem {
    match error {
        SubmitError::UnderWay | SubmitError::StreamUnreadable | SubmitError::OwnerOutdated => {
            problem(error)
        }
        _ => problem(SubmitError::Unknown),
    }
}

/// Why nothing can be shown, for the client.
pub(super) fn unread(error: ReadError) -> Problem {
    match error {
        ReadError::NotServed => problem(SubmitError::NotOwner),
        ReadError::Busy => problem(SubmitError::Busy),
        ReadError::ShuttingDown => problem(SubmitError::ShuttingDown),
        ReadError::StreamUnreadable => problem(SubmitError::StreamUnreadable),
        ReadError::TooLarge => problem(SubmitError::TooLarge),
        ReadError::NotTaken => problem(SubmitError::NotTaken),
        ReadError::WrongStream => Problem::internal("a stream holds something else"),
    }
}

/// Why there is no answer, for the client.
pub(super) fn problem(error: SubmitError) -> Problem {
    let again = "nothing happened; send it again";
    match error {
        SubmitError::KeyReused => Problem::idempotency_key_reused(),
        SubmitError::Busy => Problem::unavailable("busy", format!("too much is waiting: {again}")),
        SubmitError::NotOwner => {
            Problem::unavailable("log_unavailable", format!("the event log is away: {again}"))
        }
        SubmitError::Unknown | SubmitError::HandedOver => Problem::unavailable(
            "outcome_unknown",
            "it is not known yet whether this happened; send it again with the same \
             Idempotency-Key to learn of it",
        ),
        SubmitError::UnderWay => Problem::conflict(
            "request_under_way",
            "the same request is still under way; ask again with the same Idempotency-Key",
        ),
        SubmitError::StreamUnreadable => Problem::unavailable(
            "stream_unreadable",
            "what is stored of this stream, or of this command, cannot be read; an operator has to \
             look",
        ),
        SubmitError::ShuttingDown => {
            Problem::unavailable("shutting_down", format!("this node is going away: {again}"))
        }
        SubmitError::TooLarge => Problem::rejected(
            StatusCode::PAYLOAD_TOO_LARGE,
            "command_too_large",
            "with what was looked up for it this is larger than nodes take from each other; \
             nothing happened",
        ),
        SubmitError::OwnerOutdated => Problem::unavailable(
            "owner_outdated",
            "the node that would do this runs an earlier release, which does not know how; nothing \
             happened; send it again when that node has been replaced",
        ),
        SubmitError::NotTaken => Problem::unavailable(
            "owner_refused",
            "the node that would do this does not take it, which is for an operator to look at; \
             nothing happened",
        ),
    }
}
