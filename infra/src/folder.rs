//! Folders of what nobody else on the machine may read.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// What others than the owner may do in a folder.
const OTHERS: u32 = 0o077;

/// Makes a folder that only its owner may enter, with the folders above it; one that is there and lets
/// others in is narrowed, as far as it is the process's own.
///
/// # Errors
/// It cannot be made. If its permissions cannot be narrowed, that is logged only.
pub fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let place = folder.display();
    match fs::set_permissions(folder, Permissions::from_mode(mode & 0o7777 & !OTHERS)) {
        Ok(()) => tracing::warn!("others could look into {place}, which is closed to them now"),
        Err(error) => tracing::warn!("others may look into {place}: {error}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_made_is_closed_to_others_and_what_was_open_is_closed() {
        let root = std::env::temp_dir().join(format!("tradewind-{}", uuid::Uuid::now_v7()));
        let (above, folder) = (root.join("a"), root.join("a/b"));
        make_private(&folder).unwrap();
        assert_eq!((mode(&above), mode(&folder)), (0o700, 0o700));
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        make_private(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        fs::remove_dir_all(root).unwrap();
    }
}
