//! What operators ask for, checked and written down; `serve` does it.

use std::sync::Arc;

use infra::{postgres::Pool, retry::Policy, telemetry::emit};
use read_models::Projection;
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use super::{
    Refused, Stepped,
    begin::{RebuildRequest, begin},
    switch::{Target, switch},
};
use crate::store::{
    letters::forget_version,
    verifications::Verification,
    versions::{Version, VersionState, Watch, fold_of, locked, schema_of},
};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Control {
    pub pool: Pool,
    pub projections: Arc<[Projection]>,
    pub versions: Watch,
}

impl Control {
    pub(crate) async fn rebuild(
        &self,
        name: &str,
        request: RebuildRequest,
    ) -> Result<Version, Refused> {
        let projection = self.projections.iter().find(|it| it.name == name);
        let projection = projection.ok_or_else(|| Refused::NoProjection(name.to_owned()))?;
        let mut tx = self.pool.begin().await?;
        let version = begin(&mut tx, projection, request).await?;
        tx.commit().await?;
        self.versions.hurry();
        Ok(version)
    }

    /// Stops a build, or the feeding of a version that stands by, until it is resumed.
    pub(crate) async fn pause(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        let version = self.beside(name, number).await?;
        let paused =
            Version::set(&self.pool, name, version.version, "paused = true, changed_at = now()")
                .await?;
        self.versions.hurry();
        Ok(paused)
    }

    /// Lets it go on, also after a problem, and where it has halted. Without a number, and with no
    /// version beside it, the live one.
    pub(crate) async fn resume(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        self.check_name(name).await?;
        let mut tx = self.pool.begin().await?;
        let versions = locked(&mut tx, name).await?;
        let mut there = versions.iter().rev().filter(|it| it.state != VersionState::Dropped);
        let version = match number {
            Some(number) => there.find(|it| it.version == number),
            None => {
                there.clone().find(|it| it.state != VersionState::Live).or_else(|| there.next())
            }
        };
        let Some(version) = version else {
            return Err(Refused::NoVersion(format!("{name} has no such version")));
        };
        sqlx::query(
            "UPDATE projection.checkpoints SET halted = NULL
             WHERE projection = $1 AND version = $2",
        )
        .bind(name)
        .bind(version.version)
        .execute(&mut *tx)
        .await?;
        let set = "paused = false, problem = NULL, changed_at = now()";
        let resumed = Version::set(&mut *tx, name, version.version, set).await?;
        tx.commit().await?;
        self.versions.hurry();
        Ok(resumed)
    }

    pub(crate) async fn switch(&self, name: &str, target: Target) -> Result<Version, Refused> {
        self.check_name(name).await?;
        let version = switch(&self.pool, name, target).await?;
        self.versions.hurry();
        Ok(version)
    }

    /// Drops the version of this number, or the only one that is not live.
    pub(crate) async fn drop(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        self.check_name(name).await?;
        let once = || drop_once(&self.pool, name, number);
        let version = infra::retry::retry(Policy::QUICK, Refused::is_passing, once).await?;
        let (number, state) = (version.version, VersionState::Dropped.as_str());
        emit(Stepped { projection: name, version: number, state, detail: "its rows are gone" });
        self.versions.hurry();
        Ok(version)
    }

    /// Requests a verification of a version, the live one unless another is named.
    pub(crate) async fn verify(
        &self,
        name: &str,
        number: Option<i32>,
        sample: Option<i32>,
    ) -> Result<Verification, Refused> {
        self.check_name(name).await?;
        let versions = Version::all(&self.pool).await?;
        let version = versions.iter().find(|it| {
            it.projection == name
                && number.map_or(it.state == VersionState::Live, |number| it.version == number)
        });
        let version = version.ok_or_else(|| match number {
            Some(number) => Refused::NoVersion(format!("there is no {name} v{number}")),
            None => Refused::NoVersion(format!("no version of {name} is live")),
        })?;
        if matches!(version.state, VersionState::Copying | VersionState::Indexing) {
            return Err(Refused::Conflict(format!(
                "{name} v{} is {}; it can be verified when that is over",
                version.version,
                version.state.as_str()
            )));
        }
        if fold_of(&self.projections, version).is_none() {
            return Err(Refused::Conflict(format!(
                "{name} v{} is made by another release (fold {}), which alone can verify it",
                version.version, version.fold
            )));
        }
        Ok(Verification::request(&self.pool, version, sample).await?)
    }

    pub(crate) async fn verification(&self, id: Uuid) -> Result<Verification, Refused> {
        let found = Verification::find(&self.pool, id).await?;
        found.ok_or_else(|| Refused::NoVersion("there is no such verification".to_owned()))
    }

    /// A projection that this release has, or of which an older one has left versions.
    async fn check_name(&self, name: &str) -> Result<(), Refused> {
        let is_known = self.projections.iter().any(|it| it.name == name)
            || Version::all(&self.pool).await?.iter().any(|it| it.projection == name);
        if is_known { Ok(()) } else { Err(Refused::NoProjection(name.to_owned())) }
    }

    /// The version of this number, or the one that is built, or the newest that is not live.
    async fn beside(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        self.check_name(name).await?;
        let mut tx = self.pool.begin().await?;
        let versions = locked(&mut tx, name).await?;
        let mut there = versions.into_iter().rev().filter(|it| it.state != VersionState::Dropped);
        let found = match number {
            Some(number) => there.find(|it| it.version == number),
            None => there.find(|it| it.state != VersionState::Live),
        };
        match found {
            Some(live) if live.state == VersionState::Live => Err(Refused::Conflict(format!(
                "{name} v{} is live, and what is read is always fed",
                live.version
            ))),
            Some(found) => Ok(found),
            None => {
                Err(Refused::NoVersion(format!("{name} has no such version beside the live one")))
            }
        }
    }
}

async fn drop_once(
    pool: &Pool,
    projection: &str,
    version: Option<i32>,
) -> Result<Version, Refused> {
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, projection).await?;
    let number = to_drop(projection, &versions, version)?.version;
    // Batches lock their checkpoint first, and then write: so this waits for one, and the next finds
    // no checkpoint.
    sqlx::query("DELETE FROM projection.checkpoints WHERE projection = $1 AND version = $2")
        .bind(projection)
        .bind(number)
        .execute(&mut *tx)
        .await?;
    forget_version(&mut tx, projection, number).await?;
    let schema = schema_of(projection, number);
    tx.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await?;
    let set = "state = 'dropped', verify = false, switch = false, changed_at = now()";
    let dropped = Version::set(&mut *tx, projection, number, set).await?;
    tx.commit().await?;
    Ok(dropped)
}

fn to_drop<'v>(
    projection: &str,
    versions: &'v [Version],
    number: Option<i32>,
) -> Result<&'v Version, Refused> {
    let mut there = versions.iter().filter(|version| version.state != VersionState::Dropped);
    if let Some(number) = number {
        let found = there
            .find(|version| version.version == number)
            .ok_or_else(|| Refused::NoVersion(format!("there is no {projection} v{number}")))?;
        return match found.state {
            VersionState::Live => Err(Refused::Conflict(format!(
                "{projection} v{number} is live; switch to another version first"
            ))),
            _ => Ok(found),
        };
    }
    let others: Vec<_> = there.filter(|version| version.state != VersionState::Live).collect();
    match &*others {
        [] => Err(Refused::NoVersion(format!("{projection} has no version that is not live"))),
        [one] => Ok(one),
        many => {
            let names: Vec<_> = many.iter().map(|it| it.version.to_string()).collect();
            Err(Refused::Conflict(format!(
                "several versions of {projection} are not live ({}); name one with --version",
                names.join(", ")
            )))
        }
    }
}
