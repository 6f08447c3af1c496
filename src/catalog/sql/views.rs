//! The views that `load` creates, each defined once for all dialects: the newest snapshot of each entity table, and
//! campaign performance by day. Joining snapshots to statistics by id alone multiplies money by the number of snapshots;
//! these views are the joins that do not.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::MARK;

/// Name of the view of campaign performance, without prefix.
pub const CAMPAIGN_PERFORMANCE: &str = "campaign_performance_daily";
const STATISTICS: &str = "ad_statistics_daily";
const CAMPAIGNS: &str = "campaigns";
/// Ends the name of the view of an entity table's newest snapshot.
const LATEST: &str = "_latest";

/// What differs between dialects here.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Quotes an identifier.
    pub quote: fn(&str) -> String,
    /// A string literal.
    pub literal: fn(&str) -> String,
    /// The type of a 64-bit float.
    pub float: &'static str,
    /// The type of an exact decimal.
    pub numeric: &'static str,
    /// The type of text.
    pub text: &'static str,
}

/// A table that is in the target.
#[derive(Clone, Debug)]
pub struct Present {
    /// Its name without prefix.
    pub name: String,
    /// Its columns in the order of the target.
    pub columns: Vec<String>,
    /// Whether it has snapshots rather than days.
    pub is_snapshot: bool,
}

/// A view to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name, with the prefix.
    pub name: String,
    /// The query.
    pub query: String,
    /// One sentence, a fingerprint of the definition, and [`MARK`].
    pub description: String,
}

/// What the views read.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct Places<'a> {
    /// Put before every name.
    pub prefix: &'a str,
    /// The quoted path of the table or view with this (prefixed) name.
    pub path: &'a dyn Fn(&str) -> String,
    /// Name of the table that says what is loaded.
    pub state_table: &'a str,
}

/// The views over the tables that are there, in a dialect.
pub fn views(dialect: Dialect, places: Places<'_>, tables: &[Present]) -> Vec<View> {
    let mut views: Vec<View> =
        tables.iter().filter(|table| table.is_snapshot).map(|table| latest(dialect, places, table)).collect();
    let find = |name: &str| tables.iter().find(|table| table.name == name);
    if let (Some(statistics), Some(campaigns)) = (find(STATISTICS), find(CAMPAIGNS)) {
        views.push(campaign_performance(dialect, places, statistics, campaigns));
    }
    views
}

fn view(places: Places<'_>, name: &str, sentence: &str, query: String) -> View {
    let hash = Sha256::digest(query.as_bytes());
    let fingerprint: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let description = format!("{sentence} Definition {fingerprint}. {MARK}");
    View { name: format!("{}{name}", places.prefix), query, description }
}

/// The newest snapshot that was loaded, which may have no rows: then so has the view.
fn latest(dialect: Dialect, places: Places<'_>, table: &Present) -> View {
    let loaded = format!("{}{}", places.prefix, table.name);
    let columns: Vec<_> = table.columns.iter().map(|column| format!("t.{}", (dialect.quote)(column))).collect();
    let [date, partition_date, table_name] =
        ["snapshot_date", "partition_date", "table_name"].map(|name| (dialect.quote)(name));
    let query = format!(
        "SELECT {}\nFROM {} AS t\nWHERE t.{date} = (SELECT MAX(p.{partition_date}) FROM {} AS p WHERE p.{table_name} = {})",
        columns.join(", "),
        (places.path)(&loaded),
        (places.path)(places.state_table),
        (dialect.literal)(&loaded),
    );
    let sentence = format!("The newest snapshot of {loaded}.");
    view(places, &format!("{}{LATEST}", table.name), &sentence, query)
}

/// Sums of the statistics by day and campaign, joined with exactly one row about the campaign.
fn campaign_performance(dialect: Dialect, places: Places<'_>, statistics: &Present, campaigns: &Present) -> View {
    let quote = dialect.quote;
    let has = |table: &Present, name: &str| table.columns.iter().any(|column| column == name);
    let null = |column_type: &str| format!("CAST(NULL AS {column_type})");
    let from_campaign = |name: &str, column_type: &str| {
        if has(campaigns, name) { quote(name) } else { format!("{} AS {}", null(column_type), quote(name)) }
    };
    let sum = |name: &str| {
        let value = if has(statistics, name) { quote(name) } else { null(dialect.numeric) };
        format!("SUM({value}) AS {}", quote(name))
    };
    let sums = ["displays", "clicks", "advertiser_cost", "sales_pc30d", "revenue_generated_pc30d"]
        .map(|name| (name, sum(name)));
    let ratio = |name: &str, factor: &str, over: &str, under: &str| {
        let [over, under, name] = [over, under, name].map(quote);
        let float = dialect.float;
        format!(
            "CASE WHEN s.{under} = 0 THEN NULL ELSE {factor}CAST(s.{over} AS {float}) / CAST(s.{under} AS {float}) END AS {name}"
        )
    };
    let ratios = [
        ratio("ctr", "", "clicks", "displays"),
        ratio("cpc", "", "advertiser_cost", "clicks"),
        ratio("cpm", "1000 * ", "advertiser_cost", "displays"),
        ratio("conversion_rate", "", "sales_pc30d", "clicks"),
        ratio("roas", "", "revenue_generated_pc30d", "advertiser_cost"),
        ratio("cost_of_sale", "", "advertiser_cost", "revenue_generated_pc30d"),
        ratio("average_order_value", "", "revenue_generated_pc30d", "sales_pc30d"),
    ];
    let [day, advertiser, campaign, currency, date] =
        ["day", "advertiser_id", "campaign_id", "currency", "snapshot_date"].map(quote);
    let [name, goal, limit, from, to] =
        ["campaign_name", "goal", "spend_limit_amount", "valid_from", "valid_to"].map(quote);
    let mut query =
        format!("SELECT s.{day}, s.{advertiser}, s.{campaign}, s.{currency}, c.{name}, c.{goal}, c.{limit}");
    for (name, _) in &sums {
        write!(query, ", s.{}", quote(name)).expect("a string takes any text");
    }
    let sums = sums.map(|(_, sum)| sum);
    let partition = format!("OVER (PARTITION BY {campaign} ORDER BY {date})");
    write!(
        query,
        ",\n  {}\nFROM (\n  SELECT {day}, {advertiser}, {campaign}, {currency}, {}\n  FROM {}\n  GROUP BY {day}, {advertiser}, \
         {campaign}, {currency}\n) AS s\nLEFT JOIN (\n  SELECT {campaign}, {}, {}, {},\n    \
         CASE WHEN ROW_NUMBER() {partition} = 1 THEN DATE '0001-01-01' ELSE {date} END AS {from},\n    \
         COALESCE(LEAD({date}) {partition}, DATE '9999-12-31') AS {to}\n  FROM {}\n) AS c\n\
         ON c.{campaign} = s.{campaign} AND s.{day} >= c.{from} AND s.{day} < c.{to}",
        ratios.join(",\n  "),
        sums.join(", "),
        (places.path)(&format!("{}{STATISTICS}", places.prefix)),
        from_campaign("campaign_name", dialect.text),
        from_campaign("goal", dialect.text),
        from_campaign("spend_limit_amount", dialect.numeric),
        (places.path)(&format!("{}{CAMPAIGNS}", places.prefix)),
    )
    .expect("a string takes any text");
    let sentence = "Campaign performance by day, with the campaign as of the newest snapshot not after the day.";
    view(places, CAMPAIGN_PERFORMANCE, sentence, query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sql::duckdb;

    const DIALECT: Dialect = duckdb::VIEWS;

    fn present(name: &str, columns: &[&str], is_snapshot: bool) -> Present {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Present { name: name.to_owned(), columns, is_snapshot }
    }

    fn all(prefix: &str, tables: &[Present]) -> Vec<View> {
        let path = |name: &str| format!("db.\"{name}\"");
        views(DIALECT, Places { prefix, path: &path, state_table: "_state" }, tables)
    }

    #[test]
    fn a_view_exists_only_where_its_tables_do() {
        let statistics = present("ad_statistics_daily", &["day"], false);
        let campaigns = present("campaigns", &["snapshot_date"], true);
        let names = |tables: &[Present]| all("p_", tables).into_iter().map(|view| view.name).collect::<Vec<_>>();
        assert_eq!(names(std::slice::from_ref(&statistics)), Vec::<String>::new());
        assert_eq!(names(&[statistics, campaigns]), ["p_campaigns_latest", "p_campaign_performance_daily"]);
    }

    #[test]
    fn the_fingerprint_changes_with_the_definition_only() {
        let of = |columns: &[&str]| all("", &[present("ads", columns, true)]).remove(0);
        assert_eq!(of(&["a"]), of(&["a"]));
        assert_ne!(of(&["a"]).description, of(&["a", "b"]).description);
        assert!(of(&["a"]).description.ends_with(MARK));
    }
}
