//! Where a node keeps what it has made of the log.

use std::path::PathBuf;

use crate::config::{Reader, Setting, bytes};

const PATH: Setting = Setting {
    key: "store.path",
    doc: "The folder where the node keeps aggregates and outcomes. It may be lost: what it holds is \
          read from the log again.",
    allowed: "the path of a folder, made if it is not there",
    default: Some(".tradewind/state"),
};
const CACHE_BYTES: Setting = Setting {
    key: "store.cache_bytes",
    doc: "Memory for aggregates and parts of the store that were in use lately, of all shards \
          together.",
    allowed: "1MiB to 1024GiB, such as 512MiB",
    default: Some("256MiB"),
};

#[derive(Clone, Debug)]
pub struct Store {
    pub path: PathBuf,
    pub cache_bytes: usize,
}

impl Store {
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.get_with(&PATH, |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let cache_bytes = reader.get_with(&CACHE_BYTES, |text| {
            let bytes = bytes(text).filter(|bytes| (1 << 20..=1 << 40).contains(bytes))?;
            usize::try_from(bytes).ok()
        });
        Some(Self { path: path?, cache_bytes: cache_bytes? })
    }
}
