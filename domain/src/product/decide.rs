//! The rules of a product: its SKU and the currency of its price never change, and archived is
//! the end.

use crate::{
    aggregate::Decide,
    money::Money,
    product::{
        Command, DETAILS_BYTES_MAX, Details, Entry, Event, Patch, Product, Rejection, Status,
    },
    timestamp::Timestamp,
};

impl Decide for Product {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Create { sku_taken: true, .. } if self.entry.is_none() => {
                Err(Rejection::SkuTaken)
            }
            Command::Create { sku, details, price, .. } => {
                self.create(Entry { sku: sku.clone(), details: details.clone(), price: *price })
            }
            Command::Update { patch } => update(self.current()?, patch),
            Command::ChangePrice { price } => change_price(self.current()?, *price),
            Command::Publish => {
                self.current()?;
                let published = self.status == Status::Published;
                Ok(if published { vec![] } else { vec![Event::Published {}] })
            }
            Command::Unpublish => {
                self.current()?;
                let published = self.status == Status::Published;
                Ok(if published { vec![Event::Unpublished {}] } else { vec![] })
            }
            Command::Archive => self.archive(None),
            Command::Forfeit { reason } => self.archive(Some(reason.clone())),
        }
    }
}

impl Product {
    fn create(&self, wanted: Entry) -> Result<Vec<Event>, Rejection> {
        match &self.entry {
            Some(entry) if *entry == wanted => return Ok(vec![]),
            Some(_) => return Err(Rejection::Exists),
            None => {}
        }
        let Entry { sku, details, price } = wanted;
        check_details(&details)?;
        check_amount(price)?;
        Ok(vec![Event::Created { sku, details, price }])
    }

    /// What is archived is no longer published, which needs no event of its own.
    fn archive(&self, reason: Option<String>) -> Result<Vec<Event>, Rejection> {
        if self.status == Status::Archived {
            return Ok(vec![]);
        }
        self.current().map(|_| vec![Event::Archived { reason }])
    }

    /// The entry of a product that may still change.
    fn current(&self) -> Result<&Entry, Rejection> {
        let entry = self.entry.as_ref().ok_or(Rejection::NotFound)?;
        if self.status == Status::Archived { Err(Rejection::Archived) } else { Ok(entry) }
    }
}

fn update(entry: &Entry, patch: &Patch) -> Result<Vec<Event>, Rejection> {
    let details = patch.apply(&entry.details);
    check_details(&details)?;
    Ok(if details == entry.details { vec![] } else { vec![Event::Updated { details }] })
}

fn change_price(entry: &Entry, price: Money) -> Result<Vec<Event>, Rejection> {
    check_amount(price)?;
    if price.currency != entry.price.currency {
        return Err(Rejection::CurrencyDiffers { currency: entry.price.currency });
    }
    Ok(if price == entry.price { vec![] } else { vec![Event::PriceChanged { price }] })
}

fn check_details(details: &Details) -> Result<(), Rejection> {
    if details.name.trim().is_empty() {
        return Err(Rejection::NameEmpty);
    }
    let bytes = serde_json::to_string(details).map_or(usize::MAX, |text| text.len());
    if bytes > DETAILS_BYTES_MAX { Err(Rejection::TooLarge) } else { Ok(()) }
}

fn check_amount(price: Money) -> Result<(), Rejection> {
    if price.amount < 0 { Err(Rejection::PriceNegative) } else { Ok(()) }
}

impl Patch {
    fn apply(&self, details: &Details) -> Details {
        let mut patched = details.clone();
        patched.name.clone_from(self.name.as_ref().unwrap_or(&details.name));
        let fields = [
            (&mut patched.description, &self.description),
            (&mut patched.department, &self.department),
            (&mut patched.category, &self.category),
            (&mut patched.product_type, &self.product_type),
            (&mut patched.brand, &self.brand),
        ];
        for (field, change) in fields {
            if let Some(value) = change {
                field.clone_from(value);
            }
        }
        for (name, value) in &self.attributes {
            match value {
                Some(value) => patched.attributes.insert(name.clone(), value.clone()),
                None => patched.attributes.remove(name),
            };
        }
        patched
    }
}
