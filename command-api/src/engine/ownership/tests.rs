use std::sync::Arc;

use async_trait::async_trait;
use infra::{
    membership::Heard,
    task::{self, Task},
};
use tokio::sync::{Mutex, mpsc};

use super::{super::testing::node, *};

/// Beats that a test hears and answers, one by one.
struct Scripted {
    sent: mpsc::Sender<Option<Beat>>,
    heard: Arc<Mutex<mpsc::Receiver<Heard>>>,
}

#[async_trait]
impl Beats for Scripted {
    fn send(&mut self, _: &str, beat: Option<&Beat>) {
        self.sent.try_send(beat.cloned()).unwrap();
    }

    async fn hear(&mut self) -> Result<Heard, BeatsFailed> {
        Ok(self.heard.lock().await.recv().await.unwrap())
    }
}

struct Rig {
    sent: mpsc::Receiver<Option<Beat>>,
    say: mpsc::Sender<Heard>,
    view: watch::Receiver<View>,
    ready: Shutdown,
    draining: Shutdown,
    _task: Task<()>,
}

impl Rig {
    /// A node named `a`.
    fn start() -> Self {
        let ((sent, hears_sent), (say, heard)) = (mpsc::channel(64), mpsc::channel(64));
        let beats = Box::new(Scripted { sent, heard: Arc::new(Mutex::new(heard)) });
        let (ownership, view) = Ownership::new(beats, node("a"));
        let (ready, draining) = (Shutdown::new(), Shutdown::new());
        let (is_ready, drains) = (ready.clone(), draining.clone());
        let task = task::spawn("ownership", async move {
            let run = ownership.run(is_ready.requested(), drains, Shutdown::new());
            run.await.unwrap();
        });
        Self { sent: hears_sent, say, view, ready, draining, _task: task }
    }

    async fn next_beat(&mut self) -> Beat {
        self.sent.recv().await.unwrap().unwrap()
    }

    async fn say(&self, node: &str, beat: Beat, at: i64) {
        self.say.send(Heard { node: node.to_owned(), beat: Some(beat), at }).await.unwrap();
    }

    /// Of a shard, in the next view.
    async fn next_owner(&mut self) -> Option<String> {
        self.view.changed().await.unwrap();
        self.view.borrow_and_update().owner(SHARD).map(|owner| owner.node.clone())
    }
}

fn beat_of(node: &str) -> Beat {
    Beat::new(&format!("http://{node}"), Nonce(1), false)
}

const SHARD: ShardId = ShardId::new(0);

#[tokio::test(start_paused = true)]
async fn a_node_wants_no_shard_before_it_has_heard_itself_and_is_ready() {
    let mut rig = Rig::start();
    rig.ready.request();
    assert!(rig.next_beat().await.draining);
    let unheard = rig.next_beat().await;
    assert!(unheard.draining, "nobody has heard it yet");
    rig.say("a", unheard, 0).await;
    let wanting = rig.next_beat().await;
    assert!(!wanting.draining);
    assert_eq!(rig.next_owner().await, None);
    rig.say("a", wanting, 1).await;
    assert_eq!(rig.next_owner().await.as_deref(), Some("a"));
    rig.draining.request();
    while !rig.next_beat().await.draining {}
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_ready_yet_sees_the_others() {
    let mut rig = Rig::start();
    let own = rig.next_beat().await;
    rig.say("a", own, 0).await;
    assert_eq!(rig.next_owner().await, None);
    rig.say("b", beat_of("b"), 1).await;
    assert_eq!(rig.next_owner().await.as_deref(), Some("b"));
    assert!(rig.next_beat().await.draining);
    rig.ready.request();
    while rig.next_beat().await.draining {}
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_a_node_came_makes_it_do_nothing() {
    let mut rig = Rig::start();
    let own = rig.next_beat().await;
    // Of an earlier run, when it was alone.
    rig.say("a", beat_of("a"), 0).await;
    rig.say("b", beat_of("b"), 5_000).await;
    rig.next_beat().await;
    assert!(!rig.view.has_changed().unwrap());
    rig.say("a", own, 5_001).await;
    assert_eq!(rig.next_owner().await.as_deref(), Some("b"));
}

#[test]
fn every_shard_has_one_owner_and_as_many_standbys_as_are_set() {
    let mut roster = Roster::default();
    for node in ["a", "b", "c"] {
        roster.hear(Heard { node: node.to_owned(), beat: Some(beat_of(node)), at: 0 });
    }
    let view = roster.view();
    let check = |standby_replicas, expected: [Role; 3]| {
        for shard in (0..8).map(ShardId::new) {
            let role = |node| Role::of(&view, shard, node, standby_replicas).unwrap();
            let mut roles = ["a", "b", "c"].map(role);
            roles.sort_by_key(|role| role.as_str());
            assert_eq!(roles, expected, "{standby_replicas}");
        }
    };
    check(0, [Role::Away, Role::Away, Role::Owner]);
    check(1, [Role::Away, Role::Owner, Role::Standby]);
    check(2, [Role::Owner, Role::Standby, Role::Standby]);
    check(9, [Role::Owner, Role::Standby, Role::Standby]);
    assert_eq!(Role::of(&View::default(), SHARD, "a", 1), None);
}
