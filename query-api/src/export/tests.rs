//! What comes of an export that is killed, doubled or met by others, read back and held against the lines.

mod faulty;
mod s3;

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::{id::StreamId, shard::shard_of};
use futures_util::TryStreamExt;
use object_store::{ObjectStoreExt, memory::InMemory};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    delta::{Field, Kind, Snapshot, Table},
    *,
};
use faulty::{Faulty, Fuse};

const SHARDS: u32 = 3;
const LOG: &str = "00000000000000a1";

/// A replay that has ended: its chunks, each with the cursor behind it.
struct Fake {
    chunks: Vec<Vec<u8>>,
    log: &'static str,
}

impl Fake {
    /// So many commits of one to three events, over all shards, in chunks of some commits.
    fn new(commits: u64, mut event: impl FnMut(u64) -> (&'static str, Value)) -> Self {
        let (mut seqs, mut chunks) = (BTreeMap::<u32, u64>::new(), vec![Vec::new()]);
        for commit in 0..commits {
            let (name, data) = event(commit);
            let kind = name.split_once('.').unwrap().0;
            let stream = format!("{kind}/{commit}");
            let shard = shard_of(&stream.parse::<StreamId>().unwrap(), SHARDS).index();
            let seq = seqs.entry(shard).or_default();
            *seq += 1;
            for index in 0..=commit % 3 {
                let line = json!({
                    "specversion": "1.0", "kind": "event", "id": format!("{commit}-{index}"),
                    "type": format!("tradewind.{name}.v1"), "subject": stream,
                    // Two days.
                    "time": format!("2026-01-0{}T00:00:{:02}.000001Z", 1 + commit / 40 % 2, commit % 60),
                    "seq": seq, "index": index, "revision": index + 1, "commandid": format!("c{commit}"),
                    "actor": "guest", "data": data,
                });
                let chunk = chunks.last_mut().unwrap();
                chunk.extend(line.to_string().bytes());
                chunk.push(b'\n');
            }
            if commit % 4 == 3 {
                chunks.push(Vec::new());
            }
        }
        Self { chunks, log: LOG }
    }

    fn lines(&self) -> impl Iterator<Item = Value> {
        let lines = self.chunks.iter().flat_map(|chunk| chunk.split(|byte| *byte == b'\n'));
        lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap())
    }

    /// What a CLI does, without a network.
    async fn export(
        &self,
        store: Arc<dyn ObjectStore>,
        catalogue: Catalogue,
    ) -> Result<Export, ExportError> {
        let (root, clock) = (Path::from("lake"), Clock::System);
        let export = Export::open(store, root, String::new(), catalogue, clock).await?;
        let mut export = export.flush_at(2_000);
        let from = export.cursor().map_or(0, |cursor| cursor.parse::<usize>().unwrap());
        for (number, chunk) in self.chunks.iter().enumerate().skip(from) {
            let cursor = (number + 1).to_string();
            let log = Some(self.log.to_owned());
            export.take(chunk, Mark { cursor, log, shards: SHARDS }).await?;
        }
        export.flush().await?;
        Ok(export)
    }
}

fn orders_and_carts(commits: u64) -> Fake {
    Fake::new(commits, |commit| match commit % 2 {
        0 => {
            ("order.placed", json!({ "lines": [{ "sku": "A", "quantity": commit }], "pos": true }))
        }
        _ => ("cart.created", json!({ "note": format!("ø \"{commit}\"\n") })),
    })
}

fn catalogue() -> Catalogue {
    let line = vec![Field::new("sku", Kind::Text), Field::new("quantity", Kind::Long)];
    let lines = Kind::List(Box::new(Kind::Struct(line)));
    Catalogue::of([
        ("order.placed", vec![Field::new("lines", lines), Field::new("pos", Kind::Boolean)]),
        ("cart.created", vec![Field::new("note", Kind::Text)]),
    ])
}

async fn load(store: &Arc<dyn ObjectStore>, table: &str) -> Option<Snapshot> {
    let path = Path::from(format!("lake/{table}"));
    Table::new(Arc::clone(store), path).load().await.unwrap()
}

/// The rows of a table by the ids of the events; as those read it who know Parquet, and nothing of this.
async fn rows(store: &Arc<dyn ObjectStore>, table: &str) -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    for path in load(store, table).await.unwrap().files.keys() {
        let path = Path::from(format!("lake/{table}/{path}"));
        let bytes: Bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        let reader = SerializedFileReader::new(bytes).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap().to_json_value();
            rows.push((row["id"].as_str().unwrap().to_owned(), row));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

/// The tables hold each event once, as the lines have it.
async fn check(store: &Arc<dyn ObjectStore>, fake: &Fake) {
    let mut expected: Vec<_> =
        fake.lines().map(|line| (line["id"].as_str().unwrap().to_owned(), line)).collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    for (table, name) in [
        ("events", None),
        ("order_placed", Some("order.placed")),
        ("cart_created", Some("cart.created")),
    ] {
        let of_table =
            |line: &Value| name.is_none_or(|name| line["type"] == format!("tradewind.{name}.v1"));
        let expected: Vec<_> = expected.iter().filter(|(_, line)| of_table(line)).collect();
        let rows = rows(store, table).await;
        let ids = |rows: &[&String]| rows.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
        let found = ids(&rows.iter().map(|(id, _)| id).collect::<Vec<_>>());
        assert_eq!(found, ids(&expected.iter().map(|(id, _)| id).collect::<Vec<_>>()), "{table}");
        for ((_, row), (_, line)) in rows.iter().zip(expected) {
            assert_eq!((&row["stream"], &row["seq"]), (&line["subject"], &line["seq"]));
            assert_eq!((&row["index"], &row["revision"]), (&line["index"], &line["revision"]));
            assert_eq!(
                (&row["correlation_id"], &row["actor"]),
                (&line["commandid"], &line["actor"])
            );
            let data = match &row["data"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                typed => typed.clone(),
            };
            assert_eq!(data, line["data"], "{table}");
        }
    }
}

#[tokio::test]
async fn every_event_is_in_its_tables_once() {
    let (store, fake) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, orders_and_carts(60));
    let export = fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    assert_eq!(export.written().rows, fake.lines().count() as u64);
    check(&store, &fake).await;

    // Parted by day, sorted, and each shard's place committed along.
    let events = load(&store, "events").await.unwrap();
    let days: std::collections::BTreeSet<_> =
        events.files.values().map(|add| add.partition_values["date"].clone().unwrap()).collect();
    assert_eq!(Vec::from_iter(days), ["2026-01-01", "2026-01-02"]);
    assert_eq!(events.txns.len(), SHARDS as usize);
    assert!(events.txns.keys().all(|id| id.starts_with("tradewind/00000000000000a1/")));

    // Files have statistics of just the columns that the table says.
    let named = &events.meta.configuration["delta.dataSkippingStatsColumns"];
    for add in events.files.values() {
        let stats: Value = serde_json::from_str(add.stats.as_deref().unwrap()).unwrap();
        let mut found: Vec<_> = stats["minValues"].as_object().unwrap().keys().cloned().collect();
        found.sort_by(|a, b| b.cmp(a));
        assert_eq!(&found.join(","), named);
    }

    // Whoever comes again finds nothing to do, with the place that was kept and without.
    let version = events.version;
    for _ in 0..2 {
        let export = fake.export(Arc::clone(&store), catalogue()).await.unwrap();
        assert_eq!(export.written(), Written::default());
        store.delete(&Kept::path(&Path::from("lake"))).await.unwrap();
    }
    assert_eq!(load(&store, "events").await.unwrap().version, version);
}

#[tokio::test]
async fn an_export_that_is_killed_at_any_step_goes_on_with_neither_gap_nor_repeat() {
    let fake = orders_and_carts(60);
    let mut kills = 0;
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let inner = Arc::new(InMemory::new()) as Arc<dyn ObjectStore>;
        for _ in 0..12 {
            let fuse = Fuse { steps: random.random_range(1..60), is_done: random.random() };
            let faulty = Arc::new(Faulty::killed_at(Arc::clone(&inner), fuse));
            kills += u32::from(fake.export(faulty, catalogue()).await.is_err());
        }
        fake.export(Arc::clone(&inner), catalogue()).await.unwrap();
        check(&inner, &fake).await;
    }
    assert!(kills > 100, "{kills}");
}

#[tokio::test]
async fn two_exports_at_once_do_not_double() {
    let fake = orders_and_carts(120);
    for seed in 0..5 {
        let inner = Arc::new(InMemory::new()) as Arc<dyn ObjectStore>;
        let export = |seed| {
            let store = Arc::new(Faulty::slow(Arc::clone(&inner), seed));
            fake.export(store, catalogue())
        };
        let (one, two) = tokio::join!(export(2 * seed), export(2 * seed + 1));
        let rows = one.unwrap().written().rows + two.unwrap().written().rows;
        assert_eq!(rows, fake.lines().count() as u64);
        check(&inner, &fake).await;
    }
}

/// Storage has made the version, and a retry was told that it is there already.
#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_made_twice_and_keeps_its_files() {
    let (inner, fake) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, orders_and_carts(30));
    let store = Arc::new(Faulty::loses_answers(Arc::clone(&inner)));
    fake.export(store, catalogue()).await.unwrap();
    check(&inner, &fake).await;
}

#[tokio::test]
async fn readers_find_a_checkpoint_and_need_no_older_version() {
    let (store, fake) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, orders_and_carts(120));
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    let before = load(&store, "events").await.unwrap();
    assert!(before.version >= 10, "{}", before.version);
    for version in 0..10 {
        let path = format!("lake/events/_delta_log/{version:020}.json");
        store.delete(&Path::from(path)).await.unwrap();
    }
    let after = load(&store, "events").await.unwrap();
    assert_eq!(
        (after.version, &after.txns, &after.meta),
        (before.version, &before.txns, &before.meta)
    );
    assert_eq!(after.files, before.files);
    check(&store, &fake).await;
}

#[tokio::test]
async fn small_files_are_put_together_and_no_row_is_lost() {
    let (store, fake) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, orders_and_carts(120));
    let mut export = fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    let before = load(&store, "events").await.unwrap();
    assert!(before.files.len() > 8);
    assert_eq!(export.compact(1_000).await.unwrap(), 0);
    assert!(export.compact(2).await.unwrap() > 8);
    let after = load(&store, "events").await.unwrap();
    assert_eq!(after.files.len(), 2);
    assert!(after.files.values().all(|add| !add.data_change));
    assert_eq!(after.txns, before.txns);
    check(&store, &fake).await;
    // And it goes on from there.
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    check(&store, &fake).await;
}

#[tokio::test]
async fn an_event_that_gets_a_member_gives_its_table_a_column() {
    let store = Arc::new(InMemory::new()) as Arc<dyn ObjectStore>;
    let old = orders_and_carts(20);
    old.export(Arc::clone(&store), catalogue()).await.unwrap();

    let more = Fake::new(40, |commit| match commit {
        0..20 if commit % 2 == 0 => {
            ("order.placed", json!({ "lines": [{ "sku": "A", "quantity": commit }], "pos": true }))
        }
        0..20 => ("cart.created", json!({ "note": format!("ø \"{commit}\"\n") })),
        _ => ("order.placed", json!({ "lines": [{ "sku": "B", "gift": "yes" }], "tip": 5 })),
    });
    let line = ["sku", "gift"].map(|name| Field::new(name, Kind::Text));
    let mut line = Vec::from(line);
    line.push(Field::new("quantity", Kind::Long));
    let lines = Kind::List(Box::new(Kind::Struct(line)));
    let members = vec![
        Field::new("tip", Kind::Long),
        Field::new("lines", lines),
        Field::new("pos", Kind::Boolean),
    ];
    let newer = || {
        Catalogue::of([
            ("order.placed", members.clone()),
            ("cart.created", vec![Field::new("note", Kind::Text)]),
        ])
    };
    let mut export = more.export(Arc::clone(&store), newer()).await.unwrap();
    export.compact(2).await.unwrap();
    let rows = rows(&store, "order_placed").await;
    let data = |id: &str| rows.iter().find(|(found, _)| found == id).unwrap().1["data"].clone();
    let old_line = json!({ "sku": "A", "quantity": 4, "gift": null });
    assert_eq!(data("4-0"), json!({ "lines": [old_line], "pos": true, "tip": null }));
    let new_line = json!({ "sku": "B", "quantity": null, "gift": "yes" });
    assert_eq!(data("31-0"), json!({ "lines": [new_line], "pos": null, "tip": 5 }));

    // An older release leaves the new columns alone.
    let schema = load(&store, "order_placed").await.unwrap().meta.schema_string;
    orders_and_carts(20).export(Arc::clone(&store), catalogue()).await.unwrap();
    assert_eq!(load(&store, "order_placed").await.unwrap().meta.schema_string, schema);
}

#[tokio::test]
async fn a_type_that_gets_a_table_later_gets_all_its_events() {
    let (store, fake) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, orders_and_carts(30));
    fake.export(Arc::clone(&store), Catalogue::of([])).await.unwrap();
    assert!(load(&store, "order_placed").await.is_none());
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    check(&store, &fake).await;
}

async fn refusal(store: &Arc<dyn ObjectStore>, fake: &Fake) -> (String, bool) {
    let exported = fake.export(Arc::clone(store), catalogue()).await;
    let error = exported.err().expect("a refusal");
    (error.to_string(), error.is_usage())
}

#[tokio::test]
async fn what_is_not_this_exports_is_left_alone() {
    let fake = orders_and_carts(20);
    let empty = || Arc::new(InMemory::new()) as Arc<dyn ObjectStore>;
    let put = async |store: &Arc<dyn ObjectStore>, path: &str, text: &'static str| {
        store.put(&Path::from(path), text.into()).await.unwrap();
    };

    let store = empty();
    put(&store, "lake/events/notes.txt", "mine").await;
    let told = "lake/events is no Delta table: it holds lake/events/notes.txt and no _delta_log";
    assert_eq!(refusal(&store, &fake).await, (told.to_owned(), true));

    let store = empty();
    put(&store, "lake/_delta_log/00000000000000000000.json", "{}").await;
    assert!(refusal(&store, &fake).await.0.contains("is a Delta table itself"));

    let store = empty();
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    let other = Fake { log: "00000000000000b2", ..orders_and_carts(40) };
    let told = "table events holds events of another log; export to another place";
    assert_eq!(refusal(&store, &other).await, (told.to_owned(), true));
    store.delete(&Kept::path(&Path::from("lake"))).await.unwrap();
    assert!(refusal(&store, &other).await.0.contains("holds events of another log"));
    check(&store, &fake).await;

    // Without its log, a table is none; and one that is gone has to be written from the beginning.
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    let found: Vec<_> =
        store.list(Some(&Path::from("lake/cart_created"))).try_collect().await.unwrap();
    for found in found {
        store.delete(&found.location).await.unwrap();
    }
    let (told, is_usage) = refusal(&store, &fake).await;
    assert!(told.starts_with("table cart_created was removed or set back since"), "{told}");
    assert!(is_usage);
    store.delete(&Kept::path(&Path::from("lake"))).await.unwrap();
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    check(&store, &fake).await;
}

#[tokio::test]
async fn what_another_release_asks_for_is_told() {
    let (store, fake) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, orders_and_carts(20));
    fake.export(Arc::clone(&store), catalogue()).await.unwrap();
    let next = load(&store, "events").await.unwrap().version + 1;
    let path = Path::from(format!("lake/events/_delta_log/{next:020}.json"));
    let newer = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":[]}}"#;
    store.put(&path, newer.into()).await.unwrap();
    let (told, is_usage) = refusal(&store, &fake).await;
    assert!(told.contains("asks for version 3 of readers and 7 of writers"), "{told}");
    assert!(is_usage);
}

#[tokio::test]
async fn data_that_do_not_fit_are_an_error_and_no_null() {
    for data in [json!({ "note": 5 }), json!({ "unknown": "x" })] {
        let store = Arc::new(InMemory::new()) as Arc<dyn ObjectStore>;
        let fake = Fake::new(4, |_| ("cart.created", data.clone()));
        let (told, is_usage) = refusal(&store, &fake).await;
        assert!(told.contains("does not fit the columns of its type: data: "), "{told}");
        assert!(!is_usage);
        assert!(load(&store, "cart_created").await.is_none());
    }
}
