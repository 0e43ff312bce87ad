//! `GET /v1/reports/sales`: for analysts and staff.

use std::str::FromStr;

use axum::{
    Json,
    extract::{OriginalUri, State},
    response::Response,
};
use domain::{cart::Channel, timestamp::Day};
use infra::{
    freshness::Projection,
    http::{
        extract::Query,
        fields::{Fields, Validate},
        page::{Cursor, Limit, Page},
        problem::Problem,
        shapes,
    },
};
use read_models::sales::SALES;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    },
};

use super::read::{AppState, ReadRequest, answer};
use crate::read_model::{Group, SalesFilter, SalesRow};

const READS: &[Projection] = &[SALES.shown()];
/// Groups of one report: ten years of days in thirty departments. More of them are refused.
const ROWS_MAX: usize = 110_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Any of `department`, `week`, `day`, `month`, `channel`, joined by commas; the items are sorted
    /// by them in this order. Without any there is one item per currency.
    #[serde(default)]
    #[param(inline, style = Form, explode = false, example = json!(["department", "week"]))]
    group_by: Groups,
    /// The first day (UTC), included.
    #[param(inline, value_type = Option<shapes::CalendarDay>, example = "2017-01-01")]
    from: Option<Day>,
    /// The last day (UTC), included.
    #[param(inline, value_type = Option<shapes::CalendarDay>, example = "2017-01-31")]
    to: Option<Day>,
    #[param(inline, value_type = Option<shapes::Channel>, example = "pos")]
    channel: Option<Channel>,
    /// Items of one page: 1 to 200. Without it the report comes whole.
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next` of the page before.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl Validate for Parameters {
    fn validate(&self, fields: &mut Fields) {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            fields.check("/to", "out_of_range", from <= to, "must not be before `from`");
        }
        let alone = self.cursor.is_some() && self.limit.is_none();
        fields.check("/limit", "required", !alone, "must be sent along with a cursor");
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Groups(Vec<Group>);

impl PartialSchema for Groups {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String);
        let names = names.enum_values(Some(Group::ALL.map(Group::name)));
        let list = ArrayBuilder::new().items(names).unique_items(true);
        list.max_items(Some(Group::ALL.len())).into()
    }
}

impl ToSchema for Groups {}

/// A report. An item has the groups that were asked for, and no others.
#[derive(Serialize, ToSchema)]
pub(super) struct SalesReport {
    items: Vec<SalesItem>,
    /// The cursor of the next page, if the report was asked for in pages.
    next: Option<String>,
}

#[derive(Serialize)]
struct SalesItem {
    #[serde(flatten)]
    groups: GroupValues,
    #[serde(flatten)]
    figures: Figures,
}

/// Values of the groups, in the order in which they were asked for.
struct GroupValues(Vec<(Group, String)>);

#[derive(Serialize, ToSchema)]
struct Figures {
    /// Confirmed orders: with departments, those that have the department in them.
    orders: i64,
    units: i64,
    revenue: Sum,
}

/// A sum of amounts in minor units of a currency.
#[derive(Serialize, ToSchema)]
struct Sum {
    /// Exact, and may be more than 64 bits hold.
    #[schema(value_type = i128, example = 1250)]
    amount: i128,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
}

/// Sales of confirmed orders
///
/// Orders count on the day (UTC) on which they were placed. Each currency has items of its own.
#[utoipa::path(
    get,
    operation_id = "report_sales",
    path = "/v1/reports/sales",
    tag = "reports",
    params(Parameters, ReadRequest),
    responses((status = OK, body = SalesReport, headers(
        ("Tradewind-Position" = String, description = "What the answer reflects"),
    ))),
    security(("api_key" = ["analyst"]), ("api_key" = ["staff"])),
)]
pub(super) async fn sales(
    State(app): State<AppState>,
    Query(parameters): Query<Parameters>,
    OriginalUri(uri): OriginalUri,
    request: ReadRequest,
) -> Result<Response, Problem> {
    let Parameters { group_by: Groups(groups), from, to, channel, limit, cursor } = parameters;
    let page = Page::new(uri, limit.as_ref(), cursor.as_ref())?;
    let after: Option<Vec<String>> = page.after()?;
    let position = app.reach(READS, &request).await?;
    let filter = SalesFilter { from, to, channel };
    let rows = app.read_model().sales(&groups, &filter, ROWS_MAX + 1).await?;
    if rows.len() > ROWS_MAX {
        let detail = "has too many groups; narrow `from` and `to` or group by less";
        return Err(Problem::invalid_field("/group_by", "too_many", detail));
    }
    let item = |row| SalesItem::new(&groups, row);
    if limit.is_none() {
        let whole = SalesReport { items: rows.into_iter().map(item).collect(), next: None };
        return Ok(answer(Json(whole), &position));
    }
    let seen = after.map_or(0, |after| rows.partition_point(|row| key(row) <= after));
    let rows = rows.into_iter().skip(seen).take(usize::from(page.limit()) + 1).collect();
    Ok(answer(page.listing(rows, key).map(item), &position))
}

impl SalesItem {
    fn new(groups: &[Group], row: SalesRow) -> Self {
        let SalesRow { groups: values, currency, orders, units, revenue: amount } = row;
        let groups = GroupValues(groups.iter().copied().zip(values).collect());
        Self { groups, figures: Figures { orders, units, revenue: Sum { amount, currency } } }
    }
}

impl Serialize for GroupValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(group, value)| (group.name(), value)))
    }
}

/// The figures, and any of the groups.
impl PartialSchema for SalesItem {
    #[expect(deprecated, reason = "the whole contract has `example`, as it is derived")]
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut item)) = Figures::schema() else {
            return Figures::schema();
        };
        for group in Group::ALL {
            let text = ObjectBuilder::new()
                .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
                .description(group.format())
                .example(Some(group.example().into()));
            item.properties.insert(group.name().to_owned(), text.into());
        }
        Schema::Object(item).into()
    }
}

impl ToSchema for SalesItem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Figures::schemas(schemas);
    }
}

/// What the rows are sorted by.
fn key(row: &SalesRow) -> Vec<String> {
    row.groups.iter().chain([&row.currency]).cloned().collect()
}

impl FromStr for Groups {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut groups = Vec::new();
        for name in text.split(',').filter(|_| !text.is_empty()) {
            let group = Group::ALL.into_iter().find(|group| group.name() == name);
            let group = group.ok_or_else(|| {
                let names = Group::ALL.map(Group::name).join(", ");
                format!("any of {names}, joined by commas")
            })?;
            if groups.contains(&group) {
                return Err(format!("a list that names {name} once"));
            }
            groups.push(group);
        }
        Ok(Self(groups))
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_in_which_they_are_named() {
        let groups = "week,department".parse::<Groups>().unwrap();
        assert_eq!(groups.0, [Group::Week, Group::Department]);
        assert_eq!("".parse::<Groups>().unwrap(), Groups::default());
    }

    #[test]
    fn groups_are_known_and_named_once() {
        assert!("year".parse::<Groups>().is_err());
        assert!("week,week".parse::<Groups>().is_err());
    }

    #[test]
    fn what_is_not_grouped_by_is_absent() {
        let row = SalesRow {
            groups: vec!["2017-W01".into(), "GROCERY".into()],
            currency: "USD".into(),
            orders: 2,
            units: 3,
            revenue: 450,
        };
        let item = SalesItem::new(&[Group::Week, Group::Department], row);
        let expected = r#"{"week":"2017-W01","department":"GROCERY","orders":2,"units":3,"revenue":{"amount":450,"currency":"USD"}}"#;
        assert_eq!(serde_json::to_string(&item).unwrap(), expected);
    }
}
