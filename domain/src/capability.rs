//! Which commands a release knows, as their own forms tell, so that a node can say so to the others
//! before it is sent one.
//!
//! **Invariant:** nobody keeps a list. What is known is asked of what reads commands, what is used of
//! what writes them.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
        VariantAccess, Visitor, value,
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::{AggregateVisitor, Command, Listed, visit_all};

/// Commands, their fields, and the fields of those, such as `Product.Price`, `Product.Price.price` and
/// `Product.Price.price.amount`.
pub type Capabilities = BTreeSet<String>;

/// Steps into a command, far more than any has.
const DEPTH_MAX: usize = 8;
/// Stands for what is passed over. It is a text of many kinds.
const ANY: &str = "A";

/// All that this release knows.
#[must_use]
pub fn capabilities() -> &'static Arc<Capabilities> {
    static KNOWN: LazyLock<Arc<Capabilities>> = LazyLock::new(|| {
        let mut known = Known(Capabilities::new());
        visit_all(&mut known);
        Arc::new(known.0)
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
            find(&aggregate, &command, &mut needs);
        }
        needs
    }
}

/// Adds what of a value has a name: whoever reads it must know the names that this release does. Others
/// are keys of a map, which anybody reads.
fn find(at: &str, value: &Value, needs: &mut Capabilities) {
    let named = |name: &str| Some(format!("{at}.{name}")).filter(|it| capabilities().contains(it));
    match value {
        Value::String(unit) => needs.extend(named(unit)),
        Value::Array(values) => values.iter().for_each(|value| find(at, value, needs)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = named(name);
                find(below.as_deref().unwrap_or(at), value, needs);
                needs.extend(below);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Collects the commands that the aggregates' types read, and what they are read from.
struct Known(Capabilities);

impl AggregateVisitor for Known {
    fn visit<A: Listed>(&mut self, variant: &'static str) {
        explore::<A::Command>(variant, &mut Vec::new(), &mut self.0);
    }
}

/// What is below a place in `C`: its path is the index of a variant or of a field at each step.
fn explore<'de, C: Deserialize<'de>>(at: &str, path: &mut Vec<usize>, known: &mut Capabilities) {
    if path.len() >= DEPTH_MAX {
        return;
    }
    let mut names: &'static [&'static str] = &[];
    // What it becomes does not matter: what it would be read from does.
    C::deserialize(Question { path: path.as_slice(), names: &mut names }).ok();
    for (index, name) in names.iter().enumerate() {
        let name = format!("{at}.{name}");
        path.push(index);
        explore::<C>(&name, path, known);
        path.pop();
        known.insert(name);
    }
}

/// Asks for the names at the end of a path. Lists, maps and options are passed through: what one of
/// them holds is named as if it stood there itself, and so is the last member of a tuple.
struct Question<'a> {
    path: &'a [usize],
    names: &'a mut &'static [&'static str],
}

fn enough() -> value::Error {
    value::Error::custom("no more is needed")
}

impl<'a> Question<'a> {
    /// One of these names is the next step; at the end of the path they are the answer.
    fn step(self, names: &'static [&'static str]) -> Result<Step<'a>, value::Error> {
        let Some((index, path)) = self.path.split_first() else {
            *self.names = names;
            return Err(enough());
        };
        let name = names.get(*index).copied().ok_or_else(enough)?;
        Ok(Step { name, over: 0, next: Some(Question { path, names: self.names }) })
    }

    fn within(self, over: usize) -> Step<'a> {
        Step { name: ANY, over, next: Some(self) }
    }
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
        visitor.visit_enum(self.step(variants)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_map(self.step(fields)?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_seq(self.within(0))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_map(self.within(0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_seq(self.within(length.saturating_sub(1)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple_struct identifier ignored_any
    }
}

/// Into a variant, a field, or what a list or a map holds.
struct Step<'a> {
    name: &'static str,
    /// Members of a tuple that are passed over.
    over: usize,
    next: Option<Question<'a>>,
}

impl<'a> Step<'a> {
    fn go(&mut self) -> Result<Question<'a>, value::Error> {
        self.next.take().ok_or_else(enough)
    }
}

impl<'de> EnumAccess<'de> for Step<'_> {
    type Error = value::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), value::Error> {
        seed.deserialize(self.name.into_deserializer()).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for Step<'_> {
    type Error = value::Error;

    fn unit_variant(self) -> Result<(), value::Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, value::Error> {
        seed.deserialize(self.go()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, value::Error> {
        Err(enough())
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_map(self.go()?.step(fields)?)
    }
}

impl<'de> MapAccess<'de> for Step<'_> {
    type Error = value::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, value::Error> {
        seed.deserialize(self.name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, value::Error> {
        seed.deserialize(self.go()?)
    }
}

impl<'de> SeqAccess<'de> for Step<'_> {
    type Error = value::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, value::Error> {
        match self.over.checked_sub(1) {
            Some(left) => {
                self.over = left;
                seed.deserialize(ANY.into_deserializer()).map(Some)
            }
            None => seed.deserialize(self.go()?).map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
