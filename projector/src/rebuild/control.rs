//! What operators ask for, checked and written down; `lifecycle` and the runner do it.

use std::sync::Arc;

use infra::postgres::Pool;
use read_models::Projection;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    Refused,
    begin::{RebuildRequest, begin, locked},
    drop,
    switch::{Target, switch},
};
use crate::{
    runner::fold_of,
    verify::Verification,
    versions::{COLUMNS, Version, VersionState, Watch},
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
        let (name, number) = (&*version.projection, version.version);
        let paused = sqlx::query_as(AssertSqlSafe(format!(
            "UPDATE projection.versions SET paused = true, changed_at = now()
             WHERE projection = $1 AND version = $2 RETURNING {COLUMNS}"
        )));
        let paused = paused.bind(name).bind(number).fetch_one(&self.pool).await?;
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
        let resumed = sqlx::query_as(AssertSqlSafe(format!(
            "UPDATE projection.versions SET paused = false, problem = NULL, changed_at = now()
             WHERE projection = $1 AND version = $2 RETURNING {COLUMNS}"
        )));
        let resumed = resumed.bind(name).bind(version.version).fetch_one(&mut *tx).await?;
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

    pub(crate) async fn drop(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        self.check_name(name).await?;
        let version = drop::drop(&self.pool, name, number).await?;
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
