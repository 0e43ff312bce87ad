//! What the query API needs to know before it starts.

use infra::config::{Auth, Http, Log, Postgres, Reader, Replay, Setting};

const BIND: Setting = Http::bind_setting("127.0.0.1:8081");
const OPS_BIND: Setting = Http::ops_bind_setting("127.0.0.1:8091");

#[derive(Clone, Debug)]
pub struct Settings {
    pub http: Http,
    pub postgres: Postgres,
    pub auth: Auth,
    /// None: replays are switched off.
    pub replay: Option<Replay>,
    pub log: Log,
}

impl infra::config::Settings for Settings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        infra::read_all! {
            http: Http::read(reader, &BIND, &OPS_BIND),
            postgres: Postgres::read(reader),
            auth: Auth::read(reader),
            replay: Replay::read(reader),
            log: Log::read(reader),
        }
    }
}
