//! A wish list: what somebody would like to have, under a name. It begins with the first SKU that is
//! added. No release has it: it is the worked example of docs/adding.md.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    id::{Sku, uuid_ids},
    personal::{Texts, texts},
    timestamp::Timestamp,
};

uuid_ids! { WishListId }

/// The most SKUs on a list; one more is refused.
pub const SKUS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Add { sku: Sku },
    Remove { sku: Sku },
    Rename { name: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Somebody would like to have something.
    Added {
        /// What it is.
        sku: Sku,
    },
    /// Somebody would not like to have it any more.
    Removed {
        /// What it is.
        sku: Sku,
    },
    /// The list is called something else.
    Renamed {
        /// What it is called from now on.
        name: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishList {
    /// `None` until the first is added.
    skus: Option<Vec<Sku>>,
    name: Option<String>,
}

impl Evolve for WishList {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added { sku } => self.skus.get_or_insert_default().push(sku.clone()),
            Event::Removed { sku } => {
                self.skus.get_or_insert_default().retain(|listed| listed != sku);
            }
            Event::Renamed { name } => self.name = Some(name.clone()),
        }
    }
}

impl Decide for WishList {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Add { sku } => self.add(sku),
            Command::Remove { sku } => {
                let listed = self.skus()?.contains(sku);
                Ok(if listed { vec![Event::Removed { sku: sku.clone() }] } else { vec![] })
            }
            Command::Rename { name } if name.trim().is_empty() => Err(Rejection::NameEmpty),
            Command::Rename { name } => {
                self.skus()?;
                let same = self.name.as_ref() == Some(name);
                Ok(if same { vec![] } else { vec![Event::Renamed { name: name.clone() }] })
            }
        }
    }
}

impl WishList {
    fn skus(&self) -> Result<&[Sku], Rejection> {
        self.skus.as_deref().ok_or(Rejection::NotFound)
    }

    fn add(&self, sku: &Sku) -> Result<Vec<Event>, Rejection> {
        let listed = self.skus.as_deref().unwrap_or_default();
        if listed.contains(sku) {
            return Ok(vec![]);
        }
        if listed.len() >= SKUS_MAX {
            return Err(Rejection::Full);
        }
        Ok(vec![Event::Added { sku: sku.clone() }])
    }
}

impl Aggregate for WishList {
    const NAME: &'static str = "wish_list";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "7c807598ca01da5b";
    const IS_RELEASED: bool = false;
    const TEXTS: &'static [Texts] = texts! {
        "added": [] [];
        "removed": [] [];
        "renamed": ["name"] [];
    };

    type Id = WishListId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        let sku: Sku = crate::testing::sku("A-1");
        vec![
            Event::Added { sku: sku.clone() },
            Event::Renamed { name: "birthday".into() },
            Event::Removed { sku },
        ]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no wish list with this id")]
    NotFound,
    #[error("a wish list holds at most {SKUS_MAX} SKUs")]
    Full,
    #[error("name must not be empty")]
    NameEmpty,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "wish_list.not_found"),
            Self::Full => (Conflict, "wish_list.full"),
            Self::NameEmpty => (Rule, "wish_list.name_empty"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::testing::{NOW, decide_twice, given, sku};

    fn add(code: &str) -> Command {
        Command::Add { sku: sku(code) }
    }

    fn added(code: &str) -> Event {
        Event::Added { sku: sku(code) }
    }

    fn rename(name: &str) -> Command {
        Command::Rename { name: name.into() }
    }

    #[test]
    fn a_list_begins_with_what_is_added_first() {
        given::<WishList>([]).when(rename("birthday"), NOW).then_rejected(Rejection::NotFound);
        given::<WishList>([]).when(add("A"), NOW).then([added("A")]);
        given::<WishList>([added("A")])
            .when(rename("birthday"), NOW)
            .then([Event::Renamed { name: "birthday".into() }]);
        given::<WishList>([added("A")]).when(rename(" "), NOW).then_rejected(Rejection::NameEmpty);
    }

    #[test]
    fn a_list_is_full_at_its_limit() {
        let listed = |count: usize| (0..count).map(|number| added(&number.to_string()));
        given::<WishList>(listed(SKUS_MAX)).when(add("A"), NOW).then_rejected(Rejection::Full);
        given::<WishList>(listed(SKUS_MAX)).when(add("0"), NOW).then([]);
        given::<WishList>(listed(SKUS_MAX - 1)).when(add("A"), NOW).then([added("A")]);
    }

    proptest! {
        #[test]
        fn a_command_once_more_finds_nothing_to_do(commands in prop::collection::vec(
            (select(vec!["A", "B"]), 0..3_u8).prop_map(|(code, which)| match which {
                0 => add(code),
                1 => Command::Remove { sku: sku(code) },
                _ => rename(code),
            }),
            0..20,
        )) {
            let commands = commands.into_iter().map(|command| (command, NOW));
            decide_twice::<WishList>(commands, |_| false, |_| {});
        }
    }
}
