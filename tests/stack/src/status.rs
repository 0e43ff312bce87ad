//! `status`: asks every part, believes none of the files.

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use crate::detours::Detours;
use crate::folder::Folder;
use crate::ports::{Ports, Size};
use crate::services::{readiness, services};
use crate::state::{Existing, StackState};
use crate::{POSTGRES, broker, kafka, postgres, secrets::Secrets};

#[derive(Debug, Serialize)]
pub struct Status {
    pub parts: Vec<PartStatus>,
}

#[derive(Debug, Serialize)]
pub struct PartStatus {
    pub name: String,
    /// It runs and answers.
    pub up: bool,
    pub url: Option<String>,
    /// Of a service's listener for operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_url: Option<String>,
    pub pid: Option<i32>,
    pub detail: String,
}

impl Status {
    /// # Errors
    /// When the stack's own files cannot be read.
    pub async fn of(folder: &Folder) -> Result<Self> {
        let Some(state) = StackState::read(folder)? else {
            let (ports, existing) = (Ports::standard(Size::SMALL), Existing::default());
            let state = StackState {
                ports,
                existing,
                topic: String::new(),
                detours: Detours::default(),
                guard: None,
                is_lasting: true,
            };
            let parts = state.parts();
            return Ok(Self { parts: parts.iter().map(|name| PartStatus::absent(name)).collect() });
        };
        let secrets = Secrets::of(folder)?;
        let mut parts = brokers(folder, &state).await?;
        let database = state.databases(&secrets).reader;
        parts.push(PartStatus {
            url: Some(without_password(&database)),
            ..PartStatus::of(folder, POSTGRES, state.existing.postgres.is_some(), async {
                postgres::answers(&database).await
            })
            .await?
        });
        for service in services(state.ports.nodes.len()) {
            let url = service.url(&state);
            let found = PartStatus::of(folder, &service.part, false, readiness(&url)).await?;
            let ops_url = Some(service.ops_url(&state));
            parts.push(PartStatus { url: Some(url), ops_url, ..found });
        }
        Ok(Self { parts })
    }

    #[must_use]
    pub fn is_up(&self) -> bool {
        self.parts.iter().all(|part| part.up)
    }

    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header(["PART", "UP", "PID", "URL", "DETAIL"]);
        for part in &self.parts {
            let pid = part.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            let url = part.url.as_deref().unwrap_or("-");
            let up = if part.up { "yes" } else { "no" };
            table.add_row([part.name.as_str(), up, &pid, url, &part.detail]);
        }
        table.to_string()
    }
}

/// Each broker by itself; existing servers as one.
async fn brokers(folder: &Folder, state: &StackState) -> Result<Vec<PartStatus>> {
    let is_existing = state.existing.kafka.is_some();
    let own = state.ports.brokers.iter().map(|ports| format!("127.0.0.1:{}", ports.broker));
    let servers: Vec<String> =
        if is_existing { vec![state.bootstrap_servers()] } else { own.collect() };
    let mut parts = vec![];
    for (number, server) in (1..).zip(servers) {
        let answering = kafka::answers(&server);
        let found = PartStatus::of(folder, &broker(number), is_existing, answering).await?;
        parts.push(PartStatus { url: Some(server), ..found });
    }
    Ok(parts)
}

impl PartStatus {
    fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            up: false,
            url: None,
            ops_url: None,
            pid: None,
            detail: "not running".into(),
        }
    }

    async fn of(
        folder: &Folder,
        name: &str,
        is_existing: bool,
        answers: impl Future<Output = Result<()>>,
    ) -> Result<Self> {
        let pid = folder.part(name).pid().await?;
        if pid.is_none() && !is_existing {
            return Ok(Self::absent(name));
        }
        let (up, detail) = match answers.await {
            Ok(()) if is_existing => (true, "an existing server".to_owned()),
            Ok(()) => (true, "ready".to_owned()),
            Err(error) => (false, format!("{error:#}")),
        };
        let pid = pid.map(nix::unistd::Pid::as_raw);
        Ok(Self { name: name.to_owned(), up, url: None, ops_url: None, pid, detail })
    }
}

/// `postgres://user:password@host/database` without what is between the first colon and the at sign.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    }
}
