//! Gives serde an adjacently tagged enum whose tag and data do not come from one text.

use serde::de::{
    DeserializeSeed, MapAccess,
    value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer},
};
use serde_json::{Error, de::SliceRead};

/// `{"type": name, "data": ...}`, with the data still in `data`. The type comes first, so that
/// serde knows the variant and reads the data straight into it.
pub(super) fn tagged<'a, 'de>(
    name: &'a str,
    data: &'a mut serde_json::Deserializer<SliceRead<'de>>,
) -> MapAccessDeserializer<impl MapAccess<'de, Error = Error>> {
    MapAccessDeserializer::new(Fields { name, data, next: Field::Type })
}

struct Fields<'a, 'de> {
    name: &'a str,
    data: &'a mut serde_json::Deserializer<SliceRead<'de>>,
    next: Field,
}

#[derive(Clone, Copy)]
enum Field {
    Type,
    Data,
    End,
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let key = match self.next {
            Field::Type => "type",
            Field::Data => "data",
            Field::End => return Ok(None),
        };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if let Field::Type = self.next {
            self.next = Field::Data;
            seed.deserialize(StrDeserializer::new(self.name))
        } else {
            self.next = Field::End;
            seed.deserialize(&mut *self.data)
        }
    }
}
