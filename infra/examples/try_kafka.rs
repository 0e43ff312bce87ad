#![allow(warnings, clippy::all)]
use std::{sync::Arc, time::{Duration, Instant}};
use infra::{config::Kafka, log::{*, kafka::*, progress::Progress, follow::Follower}};
use domain::shard::ShardId;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let topic = format!("try-{}", Nonce::random());
    let config = Kafka::plaintext("127.0.0.1:19092", &topic);
    match args[1].as_str() {
        "contract" => {
            match KafkaLog::connect(&config, &topic).await { Err(e) => println!("no topic: {e}"), Ok(_) => println!("BAD") }
            ensure_topic(&config, &topic, TopicSpec::local(3)).await.unwrap();
            ensure_topic(&config, &topic, TopicSpec::local(3)).await.unwrap();
            println!("{}", ensure_topic(&config, &topic, TopicSpec::local(4)).await.unwrap_err());
            println!("{:?}", ensure_topic(&config, "never", TopicSpec::replicated(4)).await.unwrap_err());
            let log = KafkaLog::connect(&config, &topic).await.unwrap();
            println!("shards {}", log.shard_count());
            let t = Instant::now();
            contract::all(&log).await;
            println!("contract ok in {:?}", t.elapsed());
            let p = Progress::open(&config, "g1", &topic).unwrap();
            let s = ShardId::new(1);
            assert_eq!(p.load(s).await.unwrap(), None);
            let c = Checkpoint { log_id: Some(Nonce(5)), next_offset: 77, epoch: 3, claim: Some(Nonce(6)), last_seq: 9 };
            let t = Instant::now();
            p.store(s, c).await.unwrap();
            println!("store {:?}", t.elapsed());
            assert_eq!(p.load(s).await.unwrap(), Some(c));
            assert_eq!(p.load(ShardId::new(0)).await.unwrap(), None);
            let p2 = Progress::open(&config, "g1", &topic).unwrap();
            assert_eq!(p2.load(s).await.unwrap(), Some(c));
            p2.store(s, Checkpoint { next_offset: 78, ..c }).await.unwrap();
            assert_eq!(p.load(s).await.unwrap().unwrap().next_offset, 78);
            println!("progress ok; topic {topic}");
            let away = Kafka::plaintext("127.0.0.1:1", &topic);
            let t = Instant::now();
            println!("away: {:?} {:?}", KafkaLog::connect(&away, &topic).await.err(), t.elapsed());
            println!("away: {:?}", Progress::open(&away, "g", &topic).unwrap().load(s).await.err());
            let t = Instant::now();
            println!("away: {:?} {:?}", ensure_topic(&away, &topic, TopicSpec::local(1)).await.err(), t.elapsed());
        }
        "speed" => {
            let n: u64 = args[2].parse().unwrap();
            ensure_topic(&config, &topic, TopicSpec::local(1)).await.unwrap();
            let log = KafkaLog::connect(&config, &topic).await.unwrap();
            let s = ShardId::new(0);
            let (mut w, mut r) = log.open_writer(s).await.unwrap();
            w.append(&OutgoingRecord::Claim(sample::claim(Nonce(1))), Ticket::CLAIM).unwrap();
            r.recv().await.unwrap();
            // latency
            let mut lat = vec![];
            for seq in 0..2000u64 {
                let t = Instant::now();
                w.append(&ev(seq), Ticket { epoch: 0, seq, index: 0 }).unwrap();
                r.recv().await.unwrap().result.unwrap();
                lat.push(t.elapsed());
            }
            lat.sort();
            println!("lone append p50 {:?} p99 {:?}", lat[1000], lat[1980]);
            let cpu0 = cpu();
            let t = Instant::now();
            let taker = tokio::spawn(async move { for _ in 0..n { r.recv().await.unwrap().result.unwrap(); } });
            let mut spent = Duration::ZERO; let mut full = 0;
            let rec = ev(5);
            for seq in 1..=n {
                let a = Instant::now();
                loop { match w.append(&rec, Ticket { epoch: 0, seq, index: 0 }) { Ok(()) => break, Err(AppendError::QueueFull) => { full += 1; tokio::time::sleep(Duration::from_micros(200)).await }, Err(e) => panic!("{e:?}") } }
                if seq % 64 == 0 { tokio::task::yield_now().await; }
                spent += a.elapsed();
            }
            println!("append loop {:?} ({:.2} us each incl. waits, {full} full)", t.elapsed(), spent.as_secs_f64() * 1e6 / n as f64);
            taker.await.unwrap();
            println!("written {:.0} records/s, cpu {:.2} us/record", n as f64 / t.elapsed().as_secs_f64(), (cpu() - cpu0) * 1e6 / n as f64);
            for _ in 0..3 {
            let mut reader = log.open_reader(s, 0).await.unwrap();
            reader.read(1, Duration::from_secs(5)).await.unwrap();
            let cpu0 = cpu(); let t = Instant::now(); let mut got = 0u64; let mut calls = 0;
            while got < n { let v = reader.read(2000, Duration::from_secs(5)).await.unwrap(); got += v.len() as u64; calls += 1; }
            println!("read {:.0} records/s, cpu {:.2} us/record, {} calls", got as f64 / t.elapsed().as_secs_f64(), (cpu() - cpu0) * 1e6 / got as f64, calls);
            }
        }
        "codec" => {
            use infra::log::memory::RawRecord;
            let rec = ev(5);
            let n = 300_000;
            let t = Instant::now();
            for _ in 0..n { std::hint::black_box(RawRecord::of(&rec).unwrap()); }
            println!("encode to raw {:?}", t.elapsed() / n);
            let log = memory::MemoryLog::new(1);
            for _ in 0..n { log.append_raw(ShardId::new(0), RawRecord::of(&rec).unwrap()); }
            let mut r = log.open_reader(ShardId::new(0), 0).await.unwrap();
            let t = Instant::now();
            let mut all = vec![]; let mut got = 0;
            while got < n { let v = r.read(2000, Duration::ZERO).await.unwrap(); got += v.len() as u32; if all.is_empty() { all = v; } }
            println!("decode record {:?}", t.elapsed() / n);
            let Body::Event(e) = &all[0].body else { panic!() };
            let t = Instant::now();
            for _ in 0..n { std::hint::black_box(infra::codec::decode(e).unwrap()); }
            println!("codec decode {:?}", t.elapsed() / n);
            let d = infra::codec::decode(e).unwrap();
            let t = Instant::now();
            for _ in 0..n { std::hint::black_box(infra::codec::encode(&d)); }
            println!("codec encode {:?}", t.elapsed() / n);
            let mut m = Reader::start();
            let t = Instant::now();
            let mut k = 0;
            for (i, rec) in all.into_iter().enumerate() { m.step(LogRecord { offset: i as i64, ..rec }).unwrap(); k += 1; }
            println!("machine step {:?}", t.elapsed() / k);
        }
        "drop" => {
            ensure_topic(&config, &topic, TopicSpec::local(1)).await.unwrap();
            let log = KafkaLog::connect(&config, &topic).await.unwrap();
            for i in 0..20 {
                let t = Instant::now();
                let (mut w, r) = log.open_writer(ShardId::new(0)).await.unwrap();
                let o = t.elapsed();
                for seq in 0..1000 { w.append(&ev(seq), Ticket { epoch: 0, seq, index: 0 }).unwrap(); }
                let t = Instant::now(); drop(w); drop(r); let d = t.elapsed();
                let t = Instant::now();
                let mut rd = log.open_reader(ShardId::new(0), 0).await.unwrap();
                let ro = t.elapsed();
                let got = rd.read(10, Duration::from_secs(3)).await.unwrap().len();
                let t = Instant::now(); drop(rd);
                if i % 5 == 0 { println!("open writer {o:?} drop {d:?}; open reader {ro:?}, got {got}, drop {:?}", t.elapsed()); }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            println!("threads {}", std::fs::read_dir("/proc/self/task").unwrap().count());
        }
        "outage" => {
            tracing_subscriber::fmt().with_env_filter("info").init();
            ensure_topic(&config, &topic, TopicSpec::local(1)).await.unwrap();
            let log = KafkaLog::connect(&config, &topic).await.unwrap();
            let s = ShardId::new(0);
            let (mut w, mut r) = log.open_writer(s).await.unwrap();
            let mut rd = log.open_reader(s, 0).await.unwrap();
            let t0 = Instant::now();
            tokio::spawn(async move { while let Some(rep) = r.recv().await { if rep.result.is_err() { println!("{:?} {rep:?}", t0.elapsed()) } } println!("reports ended") });
            let mut got = 0; let mut seq = 0;
            while t0.elapsed() < Duration::from_secs(args[2].parse().unwrap()) {
                seq += 1; w.append(&ev(seq), Ticket { epoch: 0, seq, index: 0 }).unwrap();
                let v = rd.read(100, Duration::from_millis(200)).await.unwrap();
                got += v.len();
            }
            println!("appended {seq}, read {got}");
            println!("{:?}", log.range(s).await);
        }
        _ => {}
    }
}
fn ev(seq: u64) -> OutgoingRecord {
    let mut e = sample::event(Place { epoch: 0, claim: Nonce(1), seq, index: 0, count: 1 }, seq as u128);
    e.provenance.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    e.request_hash = Some(RequestHash([3; 16]));
    e.event_type = "tradewind.stock.reserved.v1".into();
    e.stream = "stock/A-1".parse().unwrap();
    e.value = bytes::Bytes::from_static(br#"{"reservation_id":"00000000-0000-0000-0000-000000000005","order_id":"00000000-0000-0000-0000-000000000005","quantity":2,"expires_at":"2026-01-31T00:00:00.000000Z"}"#);
    OutgoingRecord::Event(Box::new(e))
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
