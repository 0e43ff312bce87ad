//! The worked examples of the docs are code that tests run, word for word, and name all of its files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use stack::folder::workspace;

const ADDING: &str = "docs/adding.md";
/// What its example is called, whatever stands between the words.
const EXAMPLE: &str = concat!("wish", "list");

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).expect(path)
}

/// Each block of Rust stands in the file that is named last before it.
#[track_caller]
fn check(page: &str) {
    let text = read(page);
    let (mut named, mut blocks) = (None, 0);
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 0 {
            let mut files = part.split('`').filter(|code| workspace().join(code).is_file());
            named = files.next_back().or(named);
        } else if let Some(block) = part.strip_prefix("rust\n") {
            let named = named.expect("a block of a file");
            assert!(read(named).contains(block), "{page}: not in {named}:\n{block}");
            blocks += 1;
        }
    }
    assert!(blocks >= 4, "{page} has {blocks} blocks");
}

#[test]
fn the_docs_show_code_as_it_is() {
    check("docs/projections.md");
    check(ADDING);
}

/// The files that a section of the page lists.
fn listed(heading: &str) -> Vec<String> {
    let page = read(ADDING);
    let (_, section) = page.split_once(&format!("## {heading}\n")).expect(heading);
    let section = section.split("\n#").next().unwrap_or_default();
    let items = section.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next());
    items.map(str::to_owned).collect()
}

/// All below a folder, but for what is hidden or built.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        name != "target" && !name.to_string_lossy().starts_with('.')
    });
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    ours.flat_map(|entry| below(entry.path())).collect()
}

fn is_of_the_example(text: &str) -> bool {
    text.replace(['_', '-', ' '], "").to_lowercase().contains(EXAMPLE)
}

#[test]
fn the_page_lists_all_files_of_its_example() {
    let root = workspace();
    let found = files(&root).into_iter().filter_map(|path| {
        let text = fs::read(&path).expect("a readable file");
        let name = path.strip_prefix(&root).expect("a file below it").to_string_lossy();
        let is_found =
            is_of_the_example(&name) || is_of_the_example(&String::from_utf8_lossy(&text));
        (is_found && name != ADDING).then(|| name.into_owned())
    });
    let lists = ["The aggregate and its routes", "The read model and its query"].map(listed);
    assert_eq!(found.collect::<BTreeSet<_>>(), lists.concat().into_iter().collect());
}

#[test]
fn adding_touches_few_files() {
    let all = ["The aggregate and its routes", "The read model and its query", "Yours besides"];
    let all = all.map(listed).concat();
    let gone: Vec<_> = all.iter().filter(|file| !workspace().join(file).exists()).collect();
    assert!(gone.is_empty(), "files that are not there: {gone:#?}");
    assert!((1..=19).contains(&all.len()), "an aggregate with all that belongs to it: {all:#?}");
    for (heading, max) in [
        ("A read model over events that are there", 8),
        ("A new field of an event", 9),
        ("Where the aggregate has a folder", 9),
    ] {
        let files = listed(heading);
        assert!((1..=max).contains(&files.len()), "{heading}: {files:#?}");
    }
}
