//! How fast a projector makes a read model of a log of sales, and how much memory it takes for it.
//!
//! Beside it stands how fast bare clients of Kafka read the same log, two at once as a rebuild does, which
//! is what no reader can exceed.
//!
//! What is measured goes through its operators' API, from the order until the version stands by. Only
//! what is built is fed, too, so that a long log is taken in by the live versions soon.

use anyhow::Result;

use super::{
    figure::{Figure, per_second, percentile},
    projector::Site,
    sales::{self, Sales},
};
use crate::stack::folder::Folder;

/// Orders are documents with a timeline; stock is a row of numbers.
const PROJECTIONS: [&str; 2] = ["orders", "stock"];

pub(super) async fn run(rounds: usize, folder: &Folder, events: u32) -> Result<()> {
    let sales = u64::from(events) / sales::EVENTS;
    Site::with(folder, async |site| measure(rounds, site, Sales { sales, products: 0 }).await).await
}

async fn measure(rounds: usize, site: &Site, sales: Sales) -> Result<()> {
    let events = usize::try_from(sales.append(&site.log().await?).await?)?;
    site.feed_only(&PROJECTIONS).await?;
    let (projector, admin) = site.start().await?;
    admin.applied(&PROJECTIONS).await?;
    let live = projector.memory()?;
    for name in PROJECTIONS {
        let (mut rates, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(per_second(events, site.read_bare().await?)?);
            rates.push(per_second(events, admin.rebuild(name).await?)?);
        }
        let figure = format!("rebuild_{name}_of_bare_readers");
        Figure::compared(&figure, &rates, &bare, "1/s").print()?;
        let figure = format!("rebuild_{name}_events_per_second");
        Figure::aimed(&figure, percentile(&rates, 50), aim(name), "1/s", rounds).print()?;
    }
    let peak = projector.memory()?;
    projector.stop().await?;
    Figure::single("projector_memory_peak_live", live.peak_mb, "MB").print()?;
    Figure::single("projector_memory_peak_of_rebuilds", peak.peak_mb, "MB").print()
}

fn aim(name: &str) -> f64 {
    if name == "orders" { 300_000.0 } else { 1_000_000.0 }
}
