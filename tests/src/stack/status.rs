//! `status`: asks every part, believes none of the files.

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::folder::Folder;
use super::services::{SERVICES, readiness};
use super::state::State;
use super::{KAFKA, POSTGRES, kafka, postgres, secrets::Secrets};

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
    pub pid: Option<i32>,
    pub detail: String,
}

impl Status {
    /// # Errors
    /// When the stack's own files cannot be read.
    pub async fn of(folder: &Folder) -> Result<Self> {
        let Some(state) = State::read(folder)? else {
            let names = [KAFKA, POSTGRES].into_iter().chain(SERVICES.iter().map(|s| s.part));
            return Ok(Self { parts: names.map(PartStatus::absent).collect() });
        };
        let secrets = Secrets::of(folder)?;
        let bootstrap = state.bootstrap_servers();
        let database = state.databases(&secrets).reader;
        let mut parts = vec![
            PartStatus {
                url: Some(bootstrap.clone()),
                ..PartStatus::of(folder, KAFKA, state.existing.kafka.is_some(), async {
                    kafka::answers(&bootstrap).await
                })
                .await?
            },
            PartStatus {
                url: Some(without_password(&database)),
                ..PartStatus::of(folder, POSTGRES, state.existing.postgres.is_some(), async {
                    postgres::answers(&database).await
                })
                .await?
            },
        ];
        for service in &SERVICES {
            let url = service.url(&state);
            let found = PartStatus::of(folder, service.part, false, readiness(&url)).await?;
            parts.push(PartStatus { url: Some(url), ..found });
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

impl PartStatus {
    fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            up: false,
            url: None,
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
        Ok(Self { name: name.to_owned(), up, url: None, pid, detail })
    }
}

/// `postgres://user:password@host/database` without what is between the first colon and the at sign.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    }
}
