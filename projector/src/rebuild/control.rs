//! What operators ask for, checked and written down; `serve` does it.

use std::sync::Arc;

use infra::{
    postgres::Pool,
    retry::{Policy, retry},
    telemetry::emit,
};
use read_models::Projection;
use uuid::Uuid;

use super::{
    Refused, Stepped, choose,
    switch::{Target, switch},
    tables::{RebuildRequest, begin, remove},
};
use crate::store::{
    checkpoints,
    verifications::Verification,
    versions::{Version, VersionState, fold_of, locked},
    watch::Watch,
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
        let unknown = || Refused::NotFound(format!("there is no projection {name}"));
        let projection = projection.ok_or_else(unknown)?;
        let mut tx = self.pool.begin().await?;
        let version = begin(&mut tx, projection, request).await?;
        tx.commit().await?;
        self.versions.hurry();
        Ok(version)
    }

    /// Stops a build, or the feeding of a version that stands by, until it is resumed.
    pub(crate) async fn pause(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        let mut tx = self.pool.begin().await?;
        let versions = locked(&mut tx, name).await?;
        let version = beside(name, &versions, number)?;
        let paused = version.set(&mut *tx, "paused = true, changed_at = now()").await?;
        tx.commit().await?;
        self.versions.hurry();
        Ok(paused)
    }

    /// Lets it go on, also after a problem, and where it has halted. Without a number, and with no
    /// version beside it, the live one.
    pub(crate) async fn resume(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        let mut tx = self.pool.begin().await?;
        let versions = locked(&mut tx, name).await?;
        let version = match &*versions {
            [only] if number.is_none() => only,
            versions => choose(name, versions, number)?,
        };
        checkpoints::let_go_on(&mut tx, version).await?;
        let set = "paused = false, problem = NULL, changed_at = now()";
        let resumed = version.set(&mut *tx, set).await?;
        tx.commit().await?;
        self.versions.hurry();
        Ok(resumed)
    }

    pub(crate) async fn switch(&self, name: &str, target: Target) -> Result<Version, Refused> {
        let version = switch(&self.pool, name, target).await?;
        self.versions.hurry();
        Ok(version)
    }

    /// Drops the version of this number, or the only one that is not live.
    pub(crate) async fn drop(&self, name: &str, number: Option<i32>) -> Result<Version, Refused> {
        let once = || drop_once(&self.pool, name, number);
        let version = retry(Policy::QUICK, Refused::is_passing, once).await?;
        let (number, state) = (version.version, version.state.as_str());
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
        let mut versions = Version::all(&self.pool).await?;
        versions.retain(|it| it.projection == name);
        let live = versions.iter().find(|it| it.state == VersionState::Live);
        let version = choose(name, &versions, number.or(live.map(|live| live.version)))?;
        let Version { version: number, state, fold, .. } = version;
        if matches!(state, VersionState::Copying | VersionState::Indexing) {
            return Err(Refused::Conflict(format!(
                "{name} v{number} is {}; it can be verified when that is over",
                state.as_str()
            )));
        }
        if fold_of(&self.projections, version).is_none() {
            return Err(Refused::Conflict(format!(
                "{name} v{number} is made by another release (fold {fold}), which alone can verify it"
            )));
        }
        Ok(Verification::request(&self.pool, version, sample).await?)
    }

    pub(crate) async fn verification(&self, id: Uuid) -> Result<Verification, Refused> {
        let found = Verification::find(&self.pool, id).await?;
        found.ok_or_else(|| Refused::NotFound("there is no such verification".to_owned()))
    }
}

/// One that is not live.
fn beside<'v>(
    name: &str,
    versions: &'v [Version],
    number: Option<i32>,
) -> Result<&'v Version, Refused> {
    let version = choose(name, versions, number)?;
    if version.state == VersionState::Live {
        return Err(Refused::Conflict(format!(
            "{name} v{} is live; switch to another version first",
            version.version
        )));
    }
    Ok(version)
}

async fn drop_once(pool: &Pool, name: &str, number: Option<i32>) -> Result<Version, Refused> {
    let mut tx = pool.begin().await?;
    let versions = locked(&mut tx, name).await?;
    let version = to_drop(name, &versions, number)?;
    let dropped = remove(&mut tx, version).await?;
    tx.commit().await?;
    Ok(dropped)
}

fn to_drop<'v>(
    name: &str,
    versions: &'v [Version],
    number: Option<i32>,
) -> Result<&'v Version, Refused> {
    let version = beside(name, versions, number)?;
    let others = versions.iter().filter(|it| it.state != VersionState::Live);
    let others: Vec<_> = others.map(|it| it.version.to_string()).collect();
    if number.is_none() && others.len() > 1 {
        return Err(Refused::Conflict(format!(
            "several versions of {name} are not live ({}); name one with --version",
            others.join(", ")
        )));
    }
    Ok(version)
}
