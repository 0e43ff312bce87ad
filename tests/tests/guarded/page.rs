//! The ACLs of docs/operations.md: its table, and its commands, which say the same.

use std::collections::BTreeSet;
use std::fs;

use stack::folder::workspace;

/// What the commands of the page begin with: the name that the page gives to a longer beginning.
const COMMAND: &str = "grant ";

/// One right of one user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acl {
    pub(crate) user: String,
    /// `topic` or `group`
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) operation: String,
}

impl Acl {
    /// The arguments that grant it to users.
    pub(crate) fn granted_to<'a>(&self, users: impl Iterator<Item = &'a str>) -> String {
        let Self { kind, name, operation, .. } = self;
        let users: String = users.map(|user| format!("--allow-principal User:{user} ")).collect();
        format!("{users}--operation {operation} --{kind} {name}")
    }

    /// As the services call it.
    pub(crate) fn title(&self) -> String {
        format!("the ACL {} on {} {:?}", self.operation, self.kind, self.name)
    }
}

pub(crate) fn text() -> String {
    fs::read_to_string(workspace().join("docs/operations.md")).expect("the page")
}

/// The arguments of its commands, without what all begin with.
pub(crate) fn commands(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(COMMAND));
    lines.map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned()).collect()
}

/// What a command grants: each operation on each resource.
pub(crate) fn granted(command: &str) -> BTreeSet<Acl> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let all = |flag: &str| -> Vec<String> {
        let pairs = words.chunks(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| pair[1].to_owned()).collect()
    };
    let mut acls = BTreeSet::new();
    for user in all("--allow-principal") {
        let user = user.strip_prefix("User:").expect("a user").to_owned();
        for kind in ["topic", "group"] {
            for name in all(&format!("--{kind}")) {
                for operation in all("--operation") {
                    let (user, kind, name) = (user.clone(), kind.to_owned(), name.clone());
                    acls.insert(Acl { user, kind, name, operation });
                }
            }
        }
    }
    acls
}

/// The rows of the table whose heads are `user`, `resource`, `operations` and more.
pub(crate) fn table(page: &str) -> BTreeSet<Acl> {
    let head = |line: &&str| line.starts_with("| user | resource | operations |");
    let lines = page.lines().skip_while(|line| !head(line)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let mut acls = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (user, resource, operations) = (cells[1].trim_matches('`'), cells[2], cells[3]);
        let (kind, name) = resource.split_once(' ').expect("a kind and a name");
        for operation in operations.split(", ") {
            acls.insert(Acl {
                user: user.to_owned(),
                kind: kind.to_owned(),
                name: name.trim_matches('`').to_owned(),
                operation: operation.to_owned(),
            });
        }
    }
    acls
}

#[test]
fn the_commands_of_the_page_grant_what_its_table_says() {
    let page = text();
    let granted: BTreeSet<Acl> = commands(&page).iter().flat_map(|line| granted(line)).collect();
    assert!(!granted.is_empty(), "the page has commands");
    assert_eq!(granted, table(&page));
}
