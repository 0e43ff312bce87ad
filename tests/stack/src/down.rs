//! `down` ends every part, `reset` removes what they kept.

use std::fs;

use anyhow::{Context, Result};

use crate::folder::{Folder, OTHER_STACKS};
use crate::state::StackState;
use crate::{POSTGRES, console, postgres};

/// Ends all parts: the services first, so that they leave in order.
///
/// # Errors
/// When a part does not end.
pub async fn down(folder: &Folder) -> Result<()> {
    if !folder.root().exists() {
        return Ok(());
    }
    folder.create()?;
    let _lock = folder.lock().await?;
    stop_all(folder).await?;
    StackState::put_down(folder)
}

/// Ends all parts and forgets everything; the stack that the next `up` makes is empty.
///
/// # Errors
/// When a part does not end or a file cannot be removed.
pub async fn reset(folder: &Folder) -> Result<()> {
    if !folder.root().exists() {
        return Ok(());
    }
    folder.create()?;
    let _lock = folder.lock().await?;
    stop_all(folder).await?;
    if let Some(StackState { existing, .. }) = StackState::read(folder)?
        && (existing.kafka.is_some() || existing.postgres.is_some())
    {
        console::step("what is on existing servers stays there");
    }
    postgres::remove_data(folder)?;
    for entry in fs::read_dir(folder.root())? {
        let path = entry?.path();
        // Locks are held; other stacks have their own folders.
        let is_lock = path.to_string_lossy().ends_with("lock");
        if is_lock || OTHER_STACKS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

async fn stop_all(folder: &Folder) -> Result<()> {
    let mut names: Vec<String> = fs::read_dir(folder.path("pids"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    // The file of every part that ever ran is there, of nodes that this program does not know too.
    names.sort_by_key(|name| name.starts_with("kafka-") || name == POSTGRES);
    for name in names {
        let part = folder.part(&name);
        if part.stop().await.with_context(|| part.log_hint())? {
            console::step(&format!("{name} has ended"));
        }
        folder.remove(&format!("pids/{name}"))?;
    }
    Ok(())
}
