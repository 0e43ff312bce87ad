//! Which commands a release knows, as their own forms tell, so that a node can say so to the others
//! before it is sent one.
//!
//! **Invariant:** nobody keeps a list. What is known is asked of what reads commands, what is used of
//! what writes them.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, LazyLock},
};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor, value,
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::Command;

/// Commands and their fields, such as `Stock.Receive` and `Stock.Receive.quantity`.
pub type Capabilities = BTreeSet<String>;

/// All that this release knows.
#[must_use]
pub fn capabilities() -> &'static Arc<Capabilities> {
    static KNOWN: LazyLock<Arc<Capabilities>> = LazyLock::new(|| {
        let mut known = Capabilities::new();
        Command::each_aggregate(&mut known);
        Arc::new(known)
    });
    &KNOWN
}

impl Command {
    /// What of [`capabilities`] whoever carries this out must have.
    #[must_use]
    pub fn needs(&self) -> Capabilities {
        let mut needs = Capabilities::new();
        let Ok(Value::Object(command)) = serde_json::to_value(self) else { return needs };
        for (aggregate, command) in command {
            match command {
                Value::String(unit) => drop(needs.insert(format!("{aggregate}.{unit}"))),
                Value::Object(command) => {
                    for (name, fields) in command {
                        let name = format!("{aggregate}.{name}");
                        if let Value::Object(fields) = fields {
                            needs.extend(fields.keys().map(|field| format!("{name}.{field}")));
                        }
                        needs.insert(name);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
            }
        }
        needs
    }
}

/// Adds the commands that one aggregate's type reads.
pub(crate) fn ask<'de, C: Deserialize<'de>>(aggregate: &str, known: &mut Capabilities) {
    for index in 0.. {
        let mut told = Told::default();
        // What it becomes does not matter: what it would be read from does.
        C::deserialize(Question { index, told: &mut told }).ok();
        let Some(name) = told.name else { return };
        let name = format!("{aggregate}.{name}");
        known.extend(told.fields.iter().map(|field| format!("{name}.{field}")));
        known.insert(name);
    }
}

#[derive(Default)]
struct Told {
    name: Option<&'static str>,
    fields: &'static [&'static str],
}

/// Asks for one variant of an enum, or for the fields of a struct.
struct Question<'a> {
    index: usize,
    told: &'a mut Told,
}

fn enough() -> value::Error {
    value::Error::custom("no more is needed")
}

impl<'de> Deserializer<'de> for Question<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(enough())
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        let Some(&name) = variants.get(self.index) else { return Err(enough()) };
        self.told.name = Some(name);
        visitor.visit_enum(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, value::Error> {
        self.told.fields = fields;
        Err(enough())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Question<'_> {
    type Error = value::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), value::Error> {
        let name = self.told.name.unwrap_or_default();
        seed.deserialize(name.into_deserializer()).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Question<'_> {
    type Error = value::Error;

    fn unit_variant(self) -> Result<(), value::Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, value::Error> {
        seed.deserialize(Question { index: 0, told: self.told })
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, value::Error> {
        Err(enough())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, value::Error> {
        self.told.fields = fields;
        Err(enough())
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StreamType, stock};

    #[test]
    fn a_release_knows_what_its_own_commands_need() {
        let receive = stock::Command::Receive { quantity: 1, reference: Some("a".to_owned()) };
        let receive = Command::Stock(receive);
        let fields = ["Stock.Receive", "Stock.Receive.quantity", "Stock.Receive.reference"];
        assert_eq!(receive.needs(), fields.map(str::to_owned).into());
        assert!(capabilities().is_superset(&receive.needs()));
        for kind in StreamType::ALL {
            let Some(expire) = Command::expire(*kind) else { continue };
            assert!(!expire.needs().is_empty() && capabilities().is_superset(&expire.needs()));
        }
    }

    #[test]
    fn all_aggregates_have_commands() {
        let of = |aggregate: &str| {
            let begins = |name: &&String| name.starts_with(&format!("{aggregate}."));
            capabilities().iter().filter(begins).count()
        };
        for aggregate in ["ApiKey", "Cart", "Order", "Payment", "Product", "Sku", "Stock"] {
            assert!(of(aggregate) > 1, "{aggregate}: {:?}", capabilities());
        }
    }
}
