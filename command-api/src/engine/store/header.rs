//! What a store says that it is.

use std::collections::{BTreeMap, BTreeSet};

use domain::{StreamType, shard::ShardId};
use serde::{Deserialize, Serialize};

/// Of the forms in `encoding`: what has another one cannot be read back.
const ENCODING_VERSION: u32 = 3;

/// By aggregate, the version of the fold that made its states; 0 of an aggregate that the release which
/// wrote last did not know, and whose states are not there.
type StateVersions = BTreeMap<String, u32>;

/// The version of states that may be there in part.
const OF_NO_RELEASE: u32 = u32::MAX;

/// Names what a store is of; another one is of no use. Versions of states may differ: then the states of
/// those aggregates are folded anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub(in super::super) encoding: u32,
    pub(super) shard: u32,
    pub(super) shard_count: u32,
    pub(in super::super) versions: StateVersions,
}

impl Header {
    /// As this release writes it.
    pub(in super::super) fn of(shard: ShardId, shard_count: u32) -> Self {
        let versions = StreamType::ALL.iter();
        let versions = versions.map(|kind| (kind.as_str().to_owned(), kind.state_version()));
        Self {
            encoding: ENCODING_VERSION,
            shard: shard.index(),
            shard_count,
            versions: versions.collect(),
        }
    }

    /// The aggregates whose states another fold has made, or one that this release does not know.
    pub(super) fn outdated<'a>(&'a self, current: &'a Self) -> impl Iterator<Item = &'a String> {
        let differs = |(name, version): &(&String, &u32)| match current.versions.get(*name) {
            Some(current) => current != *version,
            None => **version != 0,
        };
        self.versions.iter().filter(differs).map(|(name, _)| name)
    }

    /// With these aggregates outdated for every release.
    pub(super) fn distrusting(mut self, aggregates: &BTreeSet<String>) -> Self {
        self.versions.extend(aggregates.iter().map(|name| (name.clone(), OF_NO_RELEASE)));
        self
    }

    /// What `self` becomes once no states are outdated.
    pub(super) fn renewed(&self, current: &Self) -> Self {
        let mut renewed = current.clone();
        for name in self.versions.keys() {
            renewed.versions.entry(name.clone()).or_default();
        }
        renewed
    }

    /// Why what bears this header is of no use to one who expects another.
    pub(in super::super) fn misfit(&self, expected: &Self) -> Option<String> {
        let Self { encoding, shard, shard_count, versions: _ } = self;
        if *encoding != expected.encoding {
            Some(format!("it was written by another release (encoding {encoding})"))
        } else if (shard, shard_count) != (&expected.shard, &expected.shard_count) {
            Some(format!("it is of shard {shard} of {shard_count}"))
        } else {
            None
        }
    }
}
