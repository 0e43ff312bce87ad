use std::path::Path;

use expect_test::{Expect, expect};
use secrecy::ExposeSecret;

use super::*;

const BIND: Setting = Http::bind_setting("127.0.0.1:8080");
const OPS_BIND: Setting = Http::ops_bind_setting("127.0.0.1:8090");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// All shared sections.
#[derive(Debug)]
struct All {
    http: Http,
    kafka: Kafka,
    postgres: Postgres,
    auth: Auth,
    log: Log,
    snapshots: Snapshots,
    store: Store,
}

impl Settings for All {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        crate::read_all! {
            http: Http::read(reader, &BIND, &OPS_BIND),
            kafka: Kafka::read(reader),
            postgres: Postgres::read(reader),
            auth: Auth::read(reader),
            log: Log::read(reader),
            snapshots: Snapshots::read(reader),
            store: Store::read(reader),
        }
    }
}

/// Only what the log needs, as a service has it that knows no other section.
#[derive(Debug)]
struct OnlyLog(Log);

impl Settings for OnlyLog {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Log::read(reader).map(Self)
    }
}

const REQUIRED: [(&str, &str); 3] = [
    ("TRADEWIND_KAFKA__BOOTSTRAP_SERVERS", "kafka-1:9092,kafka-2:9092"),
    ("TRADEWIND_POSTGRES__URL", "postgres://reader:hunter2@db/tradewind"),
    ("TRADEWIND_AUTH__CART_TOKEN_SECRET", SECRET),
];

fn environment(more: &[(&str, &str)]) -> Layers {
    Layers::default().environment(REQUIRED.iter().chain(more).copied())
}

#[track_caller]
fn check_mistakes<S: Settings + std::fmt::Debug>(layers: &Layers, expected: &Expect) {
    expected.assert_eq(&layers.load::<S>().unwrap_err().to_string());
}

fn scratch(name: &str, text: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("tradewind-config-{}", std::process::id()));
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn defaults_fill_what_is_not_set() {
    let settings = environment(&[]).load::<All>().unwrap().settings;
    assert_eq!(settings.http.bind.port(), 8080);
    assert_eq!(settings.http.request_wait_max.as_secs(), 10);
    assert_eq!(settings.kafka.topic, "tradewind.events");
    assert_eq!(settings.postgres.connections_max, 16);
    assert!(settings.auth.operator_key_sha256.is_none());
    assert_eq!(settings.store.cache_bytes, 256 << 20);
    assert_eq!(settings.log, Log { format: LogFormat::Pretty, filter: "info".to_owned() });
}

#[test]
fn all_mistakes_come_at_once() {
    let layers = Layers::default().environment([
        ("TRADEWIND_HTTP__BIND", "localhost"),
        ("TRADEWIND_HTTP__BNID", "127.0.0.1:80"),
        ("TRADEWIND_HTTP__REQUESTS_MAX", "0"),
        ("TRADEWIND_HTTP_BIND", "127.0.0.1:80"),
        ("TRADEWIND_KAFKA__BOOTSTRAP_SERVERS", "kafka"),
        ("TRADEWIND_KAFKA__SECURITY_PROTOCOL", "sasl_ssl"),
        ("TRADEWIND_POSTGRES__URL", "mysql://me:hunter2@db"),
        ("TRADEWIND_AUTH__CART_TOKEN_SECRET", "short"),
        ("TRADEWIND_AUTH__OPERATOR_KEY_SHA256", "abc"),
        ("TRADEWIND_LOG__FILTER", "infra=loud"),
        ("TRADEWIND_SPEED__MAX", "yes"),
    ]);
    check_mistakes::<All>(
        &layers,
        &expect![[r#"
            12 mistakes in the settings
              TRADEWIND_HTTP__BIND: found "localhost", allowed is an address and port such as 127.0.0.1:8080
              TRADEWIND_HTTP__REQUESTS_MAX: found "0", allowed is a number of at least 1
              TRADEWIND_KAFKA__BOOTSTRAP_SERVERS: found "kafka", allowed is host:port, several joined by commas
              TRADEWIND_KAFKA__SASL_USERNAME: missing; set it to a name
              TRADEWIND_KAFKA__SASL_PASSWORD: missing; set it to a password
              TRADEWIND_POSTGRES__URL: found something else, allowed is postgres://user:password@host:port/database
              TRADEWIND_AUTH__OPERATOR_KEY_SHA256: found "abc", allowed is 64 hex digits
              TRADEWIND_AUTH__CART_TOKEN_SECRET: found something else, allowed is at least 32 characters, random
              TRADEWIND_LOG__FILTER: found "infra=loud", allowed is a filter such as info or info,infra::http=debug
              TRADEWIND_HTTP_BIND: there is no such setting
              TRADEWIND_HTTP__BNID: there is no such setting; there are TRADEWIND_HTTP__BIND, TRADEWIND_HTTP__CLIENT_WAIT_MAX, TRADEWIND_HTTP__CONNECTIONS_MAX, TRADEWIND_HTTP__CONNECTIONS_PER_ADDRESS_MAX, TRADEWIND_HTTP__CROSS_ORIGINS, TRADEWIND_HTTP__DRAIN_WAIT_MAX, TRADEWIND_HTTP__RATE_OF_ADDRESSES, TRADEWIND_HTTP__RATE_OF_CARTS, TRADEWIND_HTTP__RATE_OF_CUSTOMERS, TRADEWIND_HTTP__RATE_OF_KEYS, TRADEWIND_HTTP__RATE_OF_UNKNOWN_KEYS, TRADEWIND_HTTP__REQUEST_WAIT_MAX, TRADEWIND_HTTP__REQUESTS_MAX, TRADEWIND_HTTP__TRUSTED_PROXIES
              TRADEWIND_SPEED__MAX: there is no such setting"#]],
    );
}

#[test]
fn what_is_missing_is_named() {
    check_mistakes::<All>(
        &Layers::default(),
        &expect![[r#"
        3 mistakes in the settings
          TRADEWIND_KAFKA__BOOTSTRAP_SERVERS: missing; set it to host:port, several joined by commas
          TRADEWIND_POSTGRES__URL: missing; set it to postgres://user:password@host:port/database
          TRADEWIND_AUTH__CART_TOKEN_SECRET: missing; set it to at least 32 characters, random"#]],
    );
}

#[test]
fn sections_of_other_services_are_left_alone() {
    let layers = environment(&[("TRADEWIND_LOG__FORMAT", "json")]);
    assert_eq!(layers.load::<OnlyLog>().unwrap().settings.0.format, LogFormat::Json);
}

#[test]
fn what_a_stack_tells_its_users_is_no_mistake() {
    let layers = environment(&[
        ("TRADEWIND_COMMAND_URL", "http://127.0.0.1:8080"),
        ("TRADEWIND_COMMAND_URL_2", "http://127.0.0.1:8083"),
        ("TRADEWIND_COMMAND_OPS_URL", "http://127.0.0.1:8090"),
        ("TRADEWIND_COMMAND_OPS_URL_2", "http://127.0.0.1:8093"),
        ("TRADEWIND_QUERY_OPS_URL", "http://127.0.0.1:8091"),
        ("TRADEWIND_PROJECTOR_OPS_URL", "http://127.0.0.1:8092"),
        ("TRADEWIND_OPERATOR_KEY", "tw_x"),
        ("TRADEWIND_TOPIC", "events"),
        ("TRADEWIND_PAYMENT_WEBHOOK_SECRET", "whsec_x"),
    ]);
    layers.load::<All>().unwrap();
}

#[test]
fn effective_settings_show_origins_and_mask_secrets() {
    let layers = environment(&[("TRADEWIND_LOG__FORMAT", "json")]);
    let loaded = layers.load::<All>().unwrap();
    expect![[r#"
        security.strict = "false"  # default
        http.bind = "127.0.0.1:8080"  # default
        ops.bind = "127.0.0.1:8090"  # default
        http.request_wait_max = "10s"  # default
        http.drain_wait_max = "20s"  # default
        http.requests_max = "4096"  # default
        http.connections_max = "8192"  # default
        http.client_wait_max = "30s"  # default
        http.trusted_proxies = "none"  # default
        http.cross_origins = "none"  # default
        http.rate_of_addresses = "1000/40000"  # default
        http.rate_of_carts = "50/1000"  # default
        http.rate_of_customers = "500/10000"  # default
        http.rate_of_keys = "100000/200000"  # default
        http.rate_of_unknown_keys = "20/200"  # default
        kafka.bootstrap_servers = "kafka-1:9092,kafka-2:9092"  # TRADEWIND_KAFKA__BOOTSTRAP_SERVERS
        kafka.topic = "tradewind.events"  # default
        kafka.compression = "lz4"  # default
        kafka.security_protocol = "plaintext"  # default
        kafka.sasl_mechanism = "SCRAM-SHA-512"  # default
        postgres.url = (secret)  # TRADEWIND_POSTGRES__URL
        postgres.connections_max = "16"  # default
        auth.cart_token_secret = (secret)  # TRADEWIND_AUTH__CART_TOKEN_SECRET
        log.format = "json"  # TRADEWIND_LOG__FORMAT
        log.filter = "info"  # default
        snapshots.location = ".tradewind/snapshots"  # default
        snapshots.records_min = "1000000"  # default
        snapshots.interval_min = "10m"  # default
        snapshots.s3_region = "us-east-1"  # default
        store.path = ".tradewind/state"  # default
        store.cache_bytes = "256MiB"  # default
    "#]]
    .assert_eq(&loaded.effective.to_string());
    let debug = format!("{loaded:?}");
    assert!(!debug.contains("hunter2"), "{debug}");
    assert!(!debug.contains(SECRET), "{debug}");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let file = scratch("secret", &format!("{SECRET}\n"));
    let layers = Layers::default()
        .environment(REQUIRED.into_iter().take(2))
        .environment([("TRADEWIND_AUTH__CART_TOKEN_SECRET_FILE", file.as_os_str())]);
    let settings = layers.load::<All>().unwrap().settings;
    assert_eq!(settings.auth.cart_token_secret.expose_secret(), SECRET);
}

#[test]
fn a_secret_comes_from_one_place() {
    let layers = environment(&[
        ("TRADEWIND_AUTH__CART_TOKEN_SECRET_FILE", "/run/secrets/cart"),
        ("TRADEWIND_KAFKA__SASL_PASSWORD_FILE", "/nowhere/password"),
    ]);
    check_mistakes::<All>(
        &layers,
        &expect![[r#"
        2 mistakes in the settings
          TRADEWIND_KAFKA__SASL_PASSWORD_FILE: cannot be read: No such file or directory (os error 2)
          TRADEWIND_AUTH__CART_TOKEN_SECRET: also set by TRADEWIND_AUTH__CART_TOKEN_SECRET_FILE; keep one of them"#]],
    );
}

#[test]
fn the_environment_beats_the_file_and_the_file_beats_the_stack() {
    let file = scratch(
        "all.toml",
        "[http]\nrequests_max = 7\n[log]\nfilter = \"warn\"\nformat = \"json\"\n",
    );
    let stack = scratch(
        "stack/.stack/dev.env",
        "# made by the stack\nKAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1234\nTRADEWIND_TOPIC=dev\n\
         DATABASE_URL=postgres://reader@localhost/dev\nTRADEWIND_COMMAND_URL=http://x\n\
         TRADEWIND_LOG__FILTER=debug\nPATH=/bin\n",
    );
    let inner = stack.parent().and_then(Path::parent).unwrap().join("inner/most");
    let layers = Layers::default()
        .environment([
            ("TRADEWIND_AUTH__CART_TOKEN_SECRET", SECRET),
            ("TRADEWIND_LOG__FORMAT", "pretty"),
        ])
        .file(&file)
        .unwrap()
        .local_stack(&inner, LocalStack::Reader);
    let settings = layers.load::<All>().unwrap().settings;
    assert_eq!(settings.http.requests_max, 7);
    assert_eq!(settings.kafka.bootstrap_servers, "127.0.0.1:1234");
    assert_eq!(settings.kafka.topic, "dev");
    assert_eq!(settings.postgres.url.expose_secret(), "postgres://reader@localhost/dev");
    assert_eq!(settings.log, Log { format: LogFormat::Pretty, filter: "warn".to_owned() });
}

#[test]
fn a_broken_file_is_a_mistake() {
    let file = scratch("broken.toml", "http = [");
    assert!(Layers::default().file(&file).is_err());
    assert!(Layers::default().file(Path::new("/nowhere/at.toml")).is_err());
    let file = scratch("unknown.toml", "[http]\nbindd = \"x\"\n");
    let mistakes = environment(&[]).file(&file).unwrap().load::<All>().unwrap_err();
    assert!(mistakes.to_string().contains("unknown.toml: http.bindd: there is no such setting"));
}

#[test]
fn snapshots_lie_in_a_folder_or_a_bucket() {
    let read = |more: &[(&str, &str)]| {
        let loaded = environment(more).load::<All>();
        loaded.map(|all| all.settings.snapshots).map_err(|mistakes| mistakes.to_string())
    };
    let Ok(Snapshots { location: Some(SnapshotLocation::Folder(path)), .. }) = read(&[]) else {
        panic!("a folder by default")
    };
    assert_eq!(path, Path::new(".tradewind/snapshots"));
    let nowhere = read(&[("TRADEWIND_SNAPSHOTS__LOCATION", "none")]).unwrap();
    assert!(nowhere.location.is_none());
    let bucket = [
        ("TRADEWIND_SNAPSHOTS__LOCATION", "s3://shop-snapshots/eu/live/"),
        ("TRADEWIND_SNAPSHOTS__S3_ENDPOINT", "http://minio:9000"),
        ("TRADEWIND_SNAPSHOTS__S3_ACCESS_KEY_ID", "who"),
    ];
    let mistakes = read(&bucket).unwrap_err();
    assert!(mistakes.contains("TRADEWIND_SNAPSHOTS__S3_SECRET_ACCESS_KEY"), "{mistakes}");
    let signed = [&bucket[..], &[("TRADEWIND_SNAPSHOTS__S3_SECRET_ACCESS_KEY", "hunter2")]];
    let settings = read(&signed.concat()).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let Some(SnapshotLocation::S3(s3)) = settings.location else { panic!("a bucket") };
    assert_eq!((&*s3.bucket, &*s3.prefix, &*s3.region), ("shop-snapshots", "eu/live", "us-east-1"));
    assert_eq!(s3.endpoint.unwrap().as_str(), "http://minio:9000/");
    for bad in ["", "s3://", "s3://A/b", "gs://bucket/x"] {
        let mistakes = read(&[("TRADEWIND_SNAPSHOTS__LOCATION", bad)]).unwrap_err();
        assert!(mistakes.contains("s3://bucket/prefix, or none"), "{bad}: {mistakes}");
    }
}

#[test]
fn durations_have_a_unit() {
    assert_eq!(duration("250ms").unwrap().as_millis(), 250);
    assert_eq!(duration("2m").unwrap().as_secs(), 120);
    for bad in ["", "10", "s", "1h", "-1s", "1.5s", "99999999999999999999s"] {
        assert_eq!(duration(bad), None, "{bad}");
    }
}

#[test]
fn sizes_may_have_a_unit() {
    assert_eq!(
        (bytes("10"), bytes("3KiB"), bytes("2GiB")),
        (Some(10), Some(3 << 10), Some(2 << 30))
    );
    for bad in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999999999GiB"] {
        assert_eq!(bytes(bad), None, "{bad}");
    }
}

struct Wires;

impl Settings for Wires {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (kafka, postgres) = (Kafka::read(reader), Postgres::read(reader));
        kafka.and(postgres).map(|_| Self)
    }
}

/// What is exposed by these brokers, protocol and database.
fn exposed(servers: &str, protocol: &str, url: &str, strict: bool) -> Result<usize, String> {
    let variables = [
        ("TRADEWIND_KAFKA__BOOTSTRAP_SERVERS", servers),
        ("TRADEWIND_KAFKA__SECURITY_PROTOCOL", protocol),
        ("TRADEWIND_POSTGRES__URL", url),
        ("TRADEWIND_SECURITY__STRICT", if strict { "true" } else { "false" }),
    ];
    let password =
        [("TRADEWIND_KAFKA__SASL_USERNAME", "shop"), ("TRADEWIND_KAFKA__SASL_PASSWORD", "hunter2")];
    let password = password.into_iter().filter(|_| protocol.starts_with("sasl"));
    let loaded = Layers::default().environment(variables).environment(password).load::<Wires>();
    let count = |loaded: Loaded<Wires>| loaded.exposures.0.len();
    loaded.map(count).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn what_travels_unencrypted_to_another_machine_is_told_and_a_mistake_where_it_is_strict() {
    const HERE: &str = "postgres://u:hunter2@127.0.0.1/shop";
    let far = |mode: &str| format!("postgres://u:hunter2@db.example/shop{mode}");
    let all_here = [("127.0.0.1:9092,localhost:9093", "plaintext"), ("[::1]:9092", "plaintext")];
    let encrypted = [("kafka:9093", "ssl"), ("127.0.0.1:1,kafka:9093", "sasl_ssl")];
    for (servers, protocol) in all_here.into_iter().chain(encrypted) {
        for url in [HERE, &far("?sslmode=require"), &far("?sslmode=verify-full")] {
            assert_eq!(exposed(servers, protocol, url, true), Ok(0), "{servers} {protocol} {url}");
        }
    }
    let plain = [("kafka:9092", "plaintext"), ("127.0.0.1:1,10.0.0.7:9092", "sasl_plaintext")];
    for (servers, protocol) in plain {
        for url in [far(""), far("?sslmode=prefer"), far("?sslmode=disable")] {
            assert_eq!(exposed(servers, protocol, &url, false), Ok(2), "{servers} {url}");
            let mistakes = exposed(servers, protocol, &url, true).unwrap_err();
            assert!(mistakes.starts_with("2 mistakes"), "{mistakes}");
            assert!(!mistakes.contains("hunter2"), "{mistakes}");
        }
    }
}

/// A shop's operator exports what a stack prints, and uses the commands of all services.
#[test]
fn commands_of_one_service_leave_the_urls_of_the_others_alone() {
    struct Of<const SERVICE: usize>(Client);
    impl<const SERVICE: usize> Settings for Of<SERVICE> {
        fn read(reader: &mut Reader<'_>) -> Option<Self> {
            let read = [Client::of_command_api, Client::of_query_api, Client::of_projector];
            read[SERVICE](reader).map(Self)
        }
    }
    let layers = environment(&[
        ("TRADEWIND_COMMAND_URL", "http://a:1/"),
        ("TRADEWIND_QUERY_URL", "http://b:2"),
        ("TRADEWIND_PROJECTOR_URL", "http://c:3"),
        ("TRADEWIND_OPERATOR_KEY", SECRET),
    ]);
    assert_eq!(layers.load::<Of<0>>().unwrap().settings.0.url, "http://a:1");
    assert_eq!(layers.load::<Of<1>>().unwrap().settings.0.url, "http://b:2");
    assert_eq!(layers.load::<Of<2>>().unwrap().settings.0.url, "http://c:3");
    let typo = environment(&[("TRADEWIND_CLIENT__QUERY_ULR", "http://b:2")]);
    assert!(typo.load::<Of<1>>().is_err());
}
