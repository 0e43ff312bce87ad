//! What a node without a store takes from object storage, and what it leaves there.

mod s3;

use object_store::{ObjectStoreExt, PutPayload, memory::InMemory, path::Path};

use super::{
    super::SnapshotRepository,
    restart::{Watched, found, on_hand, ran, receive_all},
    *,
};
use crate::testing::eventually;

const RECORDS_MIN: u64 = 10;

/// Nodes with folders of their own and one object storage.
struct Site {
    watched: Arc<Watched>,
    log: Arc<dyn EventLog>,
    storage: Arc<InMemory>,
    folders: Vec<TempDir>,
}

impl Site {
    fn new() -> Self {
        let (watched, storage) = (Watched::new(), Arc::new(InMemory::new()));
        Self { log: watched.clone(), watched, storage, folders: Vec::new() }
    }

    fn repository(&self) -> SnapshotRepository {
        SnapshotRepository::over(self.storage.clone(), RECORDS_MIN, Duration::ZERO)
    }

    fn stores(&mut self, repository: Option<SnapshotRepository>) -> Stores {
        let folder = tempfile::tempdir().unwrap();
        let stores = on_disk(&folder).with_depot(repository);
        self.folders.push(folder);
        stores
    }

    /// A node that has nothing yet.
    fn new_node(&mut self) -> Running {
        let stores = self.stores(Some(self.repository()));
        Running::with(&self.log.clone(), &stores)
    }

    async fn objects(&self) -> Vec<Path> {
        self.repository().list(ONLY).await.unwrap().into_iter().map(|stored| stored.path).collect()
    }

    /// Waits until the newest snapshot is another one than `before`.
    async fn another(&self, before: Option<&Path>) -> Path {
        eventually("a snapshot", || async {
            let newest = self.objects().await.into_iter().next();
            newest.filter(|newest| Some(newest) != before)
        })
        .await
    }

    async fn bytes(&self, path: &Path) -> Vec<u8> {
        self.storage.get(path).await.unwrap().bytes().await.unwrap().to_vec()
    }

    async fn put(&self, path: &Path, bytes: Vec<u8>) {
        self.storage.put(path, PutPayload::from(bytes)).await.unwrap();
    }

    /// A log with a snapshot in its middle, and the offset up to which it goes.
    async fn with_snapshot() -> (Self, Path, Offset) {
        let mut site = Self::new();
        let first = site.new_node();
        receive_all(&first, 1..=20).await;
        let snapshot = site.another(None).await;
        receive_all(&first, 21..=25).await;
        first.stop().await;
        let name = snapshot.filename().unwrap().trim_end_matches(".snapshot");
        let next_offset = name.rsplit('-').next().unwrap().parse().unwrap();
        site.watched.read_from();
        (site, snapshot, next_offset)
    }

    /// A new node knows all, whatever it has read for that.
    async fn check_new_node(&mut self) -> Option<Offset> {
        let node = self.new_node();
        assert_eq!(on_hand(&node).await, 25);
        for key in [1, 20, 25] {
            let again = submit(&node.engine, receive("A", key)).await.expect("an answer");
            assert!(again.replayed, "{key}");
        }
        node.stop().await;
        self.watched.read_from()
    }
}

#[tokio::test]
async fn a_new_node_reads_only_what_came_after_the_snapshot() {
    let (mut site, _, next_offset) = Site::with_snapshot().await;
    // The copy is of the store, which may be behind the log that made the copy due.
    assert_eq!(site.check_new_node().await, Some(next_offset - 1));
}

#[tokio::test]
async fn the_two_newest_snapshots_are_kept() {
    let mut site = Site::new();
    let node = site.new_node();
    let mut last = None;
    for round in 0..4 {
        receive_all(&node, round * 20 + 1..=round * 20 + 20).await;
        last = Some(site.another(last.as_ref()).await);
    }
    eventually("old ones to go", || async { (site.objects().await.len() == 2).then_some(()) })
        .await;
    assert_eq!(site.objects().await.first(), last.as_ref());
    node.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_snapshot_makes_a_node_read_the_log() {
    let (mut site, path, _) = Site::with_snapshot().await;
    let bytes = site.bytes(&path).await;
    let middle = bytes.len() / 2;
    let mut damaged = bytes.clone();
    damaged[middle] ^= 1;
    let spoilt = [Vec::new(), bytes[..middle].to_vec(), bytes[..20].to_vec(), damaged];
    for (number, bytes) in spoilt.into_iter().enumerate() {
        for path in site.objects().await {
            site.storage.delete(&path).await.unwrap();
        }
        site.put(&path, bytes).await;
        assert_eq!(site.check_new_node().await, Some(0), "{number}");
    }
}

#[tokio::test]
async fn the_older_snapshot_is_taken_when_the_newest_is_of_no_use() {
    let (mut site, path, next_offset) = Site::with_snapshot().await;
    for path in site.objects().await.into_iter().filter(|other| *other != path) {
        site.storage.delete(&path).await.unwrap();
    }
    let cut = site.bytes(&path).await[..100].to_vec();
    site.put(&Path::from("shard-0/z.snapshot"), cut).await;
    assert_eq!(site.objects().await.len(), 2);
    assert_eq!(site.check_new_node().await, Some(next_offset - 1));
}

#[tokio::test]
async fn snapshots_of_another_log_and_beyond_the_end_are_refused() {
    let (old, path, _) = Site::with_snapshot().await;
    let bytes = old.bytes(&path).await;
    // One log is shorter than the snapshot says, the other has other records there.
    for commands in [3, 25] {
        let mut site = Site::new();
        let stores = site.stores(None);
        ran(&site.log.clone(), &stores, 101..=100 + commands).await;
        site.watched.read_from();
        site.put(&path, bytes.clone()).await;
        let node = site.new_node();
        assert_eq!(u128::from(on_hand(&node).await), commands);
        node.stop().await;
        let looked_at = site.watched.read_from();
        assert_eq!(looked_at, Some(0), "the log was read from its beginning");
    }
}

#[tokio::test]
async fn a_store_that_breaks_is_made_anew_from_a_snapshot() {
    let (mut site, _, next_offset) = Site::with_snapshot().await;
    let node = site.new_node();
    assert_eq!(on_hand(&node).await, 25);
    node.stop().await;
    let folder = site.folders.last().unwrap().path().join("shard-0");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(path, b"nonsense").unwrap();
        }
    }
    site.watched.read_from();
    let stores = on_disk(site.folders.last().unwrap()).with_depot(Some(site.repository()));
    assert_eq!(found(&site.log, &stores).await, 25);
    assert!(site.watched.read_from().is_some_and(|from| from >= next_offset - 1));
}
