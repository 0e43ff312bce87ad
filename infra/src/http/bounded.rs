//! Lists of a body that have bounds: refused while they are read, before anybody looks at an item.
//!
//! **Invariant:** a list in a request has this type, so that its bounds are checked where it is read
//! and stand in the contract (`docs::unbounded` finds a list that has another one).

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::ArrayBuilder},
};

/// A list of `MIN` to `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T, const MAX: usize, const MIN: usize = 0>(Vec<T>);

impl<T, const MAX: usize, const MIN: usize> Bounded<T, MAX, MIN> {
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize, const MIN: usize> std::ops::Deref for Bounded<T, MAX, MIN> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T, const MAX: usize, const MIN: usize> Deserialize<'de> for Bounded<T, MAX, MIN>
where
    T: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

struct Items<T, const MAX: usize, const MIN: usize>(PhantomData<T>);

impl<'de, T, const MAX: usize, const MIN: usize> Visitor<'de> for Items<T, MAX, MIN>
where
    T: Deserialize<'de>,
{
    type Value = Bounded<T, MAX, MIN>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == MAX {
                return Err(A::Error::custom(format_args!("{TOO_MANY}{MAX} items")));
            }
            items.push(item);
        }
        if items.len() < MIN {
            let few = if MIN == 1 { "one item".to_owned() } else { format!("{MIN} items") };
            return Err(A::Error::custom(format_args!("{TOO_FEW}{few}")));
        }
        Ok(Bounded(items))
    }
}

/// Words that `extract` turns into codes.
pub(super) const TOO_MANY: &str = "must have at most ";
pub(super) const TOO_FEW: &str = "must have at least ";

impl<T: ToSchema, const MAX: usize, const MIN: usize> PartialSchema for Bounded<T, MAX, MIN> {
    fn schema() -> RefOr<Schema> {
        let items = Ref::from_schema_name(T::name());
        let min = (MIN > 0).then_some(MIN);
        ArrayBuilder::new().items(items).min_items(min).max_items(Some(MAX)).into()
    }
}

impl<T: ToSchema, const MAX: usize, const MIN: usize> ToSchema for Bounded<T, MAX, MIN> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}
