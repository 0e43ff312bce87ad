//! Files import downward only: no file of a crate reaches itself by way of others, and the rooms of the
//! projector stand one on top of the other. What a file imports through a parent's `pub use` counts as the
//! import of the file that has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use syn::{Attribute, Item, UseTree, Visibility};

const CRATES: [&str; 8] = [
    "domain",
    "infra",
    "read-models",
    "command-api",
    "projector",
    "query-api",
    "tests",
    "tests/stack",
];

/// The rooms of the projector from the bottom up. Those of one line know nothing of one another.
const ROOMS: [&[&str]; 9] = [
    &["names", "event", "settings"],
    &["rows"],
    &["fold"],
    &["store"],
    &["apply"],
    &["follow", "rebuild", "verify", "settle"],
    &["serve"],
    &["status"],
    &["admin", "cli"],
];

/// A module that is a file; the crate's root has no segments.
type Module = Vec<String>;

/// One name that a file imports.
struct Import {
    path: Vec<String>,
    /// What the file calls it.
    name: String,
    /// Whether it is handed on to others.
    is_shown: bool,
}

/// The imports of each file of a crate, tests left out.
struct Files(BTreeMap<Module, Vec<Import>>);

#[test]
fn no_file_reaches_itself_by_way_of_others() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut circles = String::new();
    for name in CRATES {
        let files = Files::read(&workspace.join(name).join("src"));
        for (from, to) in files.circles() {
            let (from, to) = (from.join("::"), to.join("::"));
            writeln!(circles, "{name}: {from} imports from {to}").expect("a text");
        }
    }
    assert!(circles.is_empty(), "files that import in circles:\n{circles}");
}

#[test]
fn rooms_of_the_projector_import_downward_only() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = Files::read(&workspace.join("projector/src"));
    let upward = files.upward();
    assert!(upward.is_empty(), "imports that go up, or to a room beside:\n{upward}");
}

#[test]
fn an_import_that_goes_up_or_to_a_room_beside_is_seen() {
    let file = |text: &str| imports(&syn::parse_file(text).expect("a file"));
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
    let mut files = Files(BTreeMap::from([
        (vec![], file("use serve::run;")),
        (module("store"), vec![]),
        (module("apply"), file("use crate::store::Row;")),
        (module("follow"), file("use crate::apply::Writer;")),
        (module("follow::group"), file("use super::Alone; use crate::store::Row;")),
        (module("verify"), vec![]),
        (module("serve"), file("use crate::{follow, verify::Verifier};")),
    ]));
    assert_eq!(files.upward(), "");
    files.0.insert(module("apply"), file("use crate::follow::group::Group;"));
    files.0.insert(module("verify"), file("use crate::follow::Alone;"));
    assert_eq!(files.upward(), "apply imports follow::group\nverify imports follow\n");
}

#[test]
fn a_circle_is_seen_through_what_a_parent_hands_on() {
    let file = |text: &str| imports(&syn::parse_file(text).expect("a file"));
    let mut files = Files(BTreeMap::from([
        (vec![], file("mod a; mod b; pub use b::Thing; use std::fmt;")),
        (vec!["a".to_owned()], file("use super::Thing; #[cfg(test)] use super::b::Sample;")),
        (vec!["b".to_owned()], file("use crate::{c::Other, d};")),
        (vec!["c".to_owned()], file("#[cfg(test)] mod tests { use super::super::a; }")),
    ]));
    assert_eq!(files.circles(), []);
    files.0.insert(vec!["c".to_owned()], file("use super::{a::{self, Deep}, b as renamed};"));
    let found = files.circles().into_iter().map(|(from, to)| format!("{from:?} {to:?}"));
    let expected = [r#"["a"] ["b"]"#, r#"["b"] ["c"]"#, r#"["c"] ["a"]"#, r#"["c"] ["b"]"#];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

impl Files {
    fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        for path in crate::examples::files(src) {
            if let Some(module) = module(src, &path) {
                let text = fs::read_to_string(&path).expect("a source");
                let file = syn::parse_file(&text).expect("a source that compiles");
                files.insert(module, imports(&file));
            }
        }
        assert!(files.len() > 1, "{} has sources", src.display());
        Self(files)
    }

    /// What each file imports from.
    fn edges(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let files = self.0.iter().map(|(file, imports)| {
            let used = imports.iter().filter(|import| !import.is_shown);
            let to = used.filter_map(|import| self.home(self.absolute(file, &import.path)?, 0));
            (file, to.filter(|to| to != file).collect())
        });
        files.collect()
    }

    /// The imports that do not go to the own room or to one below it, one a line.
    fn upward(&self) -> String {
        let rank = |module: &Module| {
            // The root stands on top of all.
            let Some(room) = module.first() else { return ROOMS.len() };
            let found = ROOMS.iter().position(|rooms| rooms.contains(&&**room));
            assert!(found.is_some(), "{room} has no place among the rooms");
            found.unwrap_or_default()
        };
        let mut upward = String::new();
        for (from, all) in self.edges() {
            for to in all {
                let is_own = from.first() == to.first();
                if !is_own && rank(&to) >= rank(from) {
                    let (from, to) = (from.join("::"), to.join("::"));
                    writeln!(upward, "{from} imports {to}").expect("a text");
                }
            }
        }
        upward
    }

    /// Each import by which a file can reach itself again.
    fn circles(&self) -> Vec<(Module, Module)> {
        let edges = self.edges();
        let leads = |from: &Module, to: &Module| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(file) = next.pop() {
                if seen.insert(file) {
                    next.extend(&edges[file]);
                }
            }
            seen.contains(to)
        };
        let all = edges.iter().flat_map(|(from, all)| all.iter().map(move |to| (*from, to)));
        let back = all.filter(|(from, to)| leads(to, from));
        back.map(|(from, to)| (from.clone(), to.clone())).collect()
    }

    /// An import's path from the crate's root; `None` if it leads to another crate.
    fn absolute(&self, file: &Module, path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&file[..], &path[1..]),
            "super" => (&file[..file.len().checked_sub(supers)?], &path[supers..]),
            child => {
                self.0.get(&[&file[..], &[child.to_owned()]].concat())?;
                (&file[..], path)
            }
        };
        Some([base, rest].concat())
    }

    /// The file that has what a path names, whoever hands it on.
    fn home(&self, path: Vec<String>, hops: usize) -> Option<Module> {
        assert!(hops < 10, "{path:?} leads nowhere");
        let file = (0..=path.len())
            .rev()
            .map(|end| &path[..end])
            .find(|file| self.0.contains_key(*file))?;
        let Some(name) = path.get(file.len()) else { return Some(file.to_vec()) };
        let Some(handed) = self.0[file].iter().find(|import| import.name == *name) else {
            return Some(file.to_vec());
        };
        let on = self.absolute(&file.to_vec(), &handed.path)?;
        self.home([&on[..], &path[file.len() + 1..]].concat(), hops + 1)
    }
}

/// `None` for what is no module of the crate, or only of its tests.
fn module(src: &Path, file: &Path) -> Option<Module> {
    let path = file.strip_prefix(src).expect("a file below").with_extension("");
    let segments: Module =
        path.iter().map(|segment| segment.to_string_lossy().into_owned()).collect();
    let is_test = segments.iter().any(|segment| segment == "tests" || segment == "testing");
    if is_test || segments[0] == "main" || segments[0] == "bin" || file.extension()? != "rs" {
        return None;
    }
    Some(if segments == ["lib"] { vec![] } else { segments })
}

fn imports(file: &syn::File) -> Vec<Import> {
    let mut all = Vec::new();
    for item in &file.items {
        if let Item::Use(item) = item
            && !item.attrs.iter().any(is_for_tests)
        {
            let is_shown = !matches!(item.vis, Visibility::Inherited);
            flatten(&item.tree, &mut vec![], &mut |path, name| {
                all.push(Import { path: path.to_vec(), name, is_shown });
            });
        }
    }
    all
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let list = attribute.meta.require_list();
    attribute.path().is_ident("cfg") && list.is_ok_and(|it| it.tokens.to_string().contains("test"))
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, each: &mut impl FnMut(&[String], String)) {
    let before = path.len();
    match tree {
        UseTree::Path(deeper) => {
            path.push(deeper.ident.to_string());
            flatten(&deeper.tree, path, each);
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, each)),
        UseTree::Glob(_) => each(path, "*".to_owned()),
        UseTree::Name(leaf) if leaf.ident == "self" => {
            each(path, path.last().cloned().unwrap_or_default());
        }
        UseTree::Name(leaf) => {
            path.push(leaf.ident.to_string());
            each(path, leaf.ident.to_string());
        }
        UseTree::Rename(leaf) => {
            if leaf.ident != "self" {
                path.push(leaf.ident.to_string());
            }
            each(path, leaf.rename.to_string());
        }
    }
    path.truncate(before);
}
