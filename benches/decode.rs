//! Decoding a report body to typed columns, beside two floors: `serde_json` skipping through the same bytes, and
//! `serde_json` filling rows of borrowed text that are then parsed to the same types.
//!
//! ```sh
//! cargo bench --bench decode
//! ```

mod report;

use std::borrow::Cow;
use std::hint::black_box;

use criteo_source::table::numeric::{parse_integer, parse_numeric};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use serde::de::IgnoredAny;

const ROWS: usize = 20_000;

/// The whole body, as a program that relies on `serde_json` would read it: all of it in memory first.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "Rows")]
    rows: Vec<Row<'a>>,
}

type Text<'a> = Cow<'a, str>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    #[serde(borrow)]
    day: Text<'a>,
    #[serde(borrow)]
    advertiser_id: Text<'a>,
    #[serde(borrow)]
    advertiser: Text<'a>,
    #[serde(borrow)]
    campaign_id: Text<'a>,
    #[serde(borrow)]
    campaign: Text<'a>,
    #[serde(borrow)]
    adset_id: Text<'a>,
    #[serde(borrow)]
    adset: Text<'a>,
    #[serde(borrow)]
    ad_id: Text<'a>,
    #[serde(borrow)]
    ad: Text<'a>,
    #[serde(borrow)]
    device: Text<'a>,
    #[serde(borrow)]
    os: Text<'a>,
    #[serde(borrow)]
    currency: Text<'a>,
    #[serde(borrow)]
    displays: Text<'a>,
    #[serde(borrow)]
    clicks: Text<'a>,
    #[serde(borrow)]
    viewable_displays: Text<'a>,
    #[serde(borrow)]
    non_viewable_displays: Text<'a>,
    #[serde(borrow)]
    untrackable_displays: Text<'a>,
    #[serde(borrow)]
    advertiser_cost: Text<'a>,
    #[serde(borrow)]
    sales_client_attribution: Text<'a>,
    #[serde(borrow)]
    sales_all_client_attribution: Text<'a>,
    #[serde(borrow)]
    sales_pc30d: Text<'a>,
    #[serde(borrow)]
    sales_all_pc30d: Text<'a>,
    #[serde(borrow)]
    sales_pc30d_pv24h: Text<'a>,
    #[serde(borrow)]
    sales_all_pc30d_pv24h: Text<'a>,
    #[serde(borrow)]
    revenue_generated_client_attribution: Text<'a>,
    #[serde(borrow)]
    revenue_generated_all_client_attribution: Text<'a>,
    #[serde(borrow)]
    revenue_generated_pc30d: Text<'a>,
    #[serde(borrow)]
    revenue_generated_all_pc30d: Text<'a>,
    #[serde(borrow)]
    revenue_generated_pc30d_pv24h: Text<'a>,
    #[serde(borrow)]
    revenue_generated_all_pc30d_pv24h: Text<'a>,
}

impl Row<'_> {
    fn texts(&self) -> [&str; 11] {
        [
            &self.advertiser_id,
            &self.advertiser,
            &self.campaign_id,
            &self.campaign,
            &self.adset_id,
            &self.adset,
            &self.ad_id,
            &self.ad,
            &self.device,
            &self.os,
            &self.currency,
        ]
    }

    fn counts(&self) -> [&str; 5] {
        [&self.displays, &self.clicks, &self.viewable_displays, &self.non_viewable_displays, &self.untrackable_displays]
    }

    fn decimals(&self) -> [&str; 13] {
        [
            &self.advertiser_cost,
            &self.sales_client_attribution,
            &self.sales_all_client_attribution,
            &self.sales_pc30d,
            &self.sales_all_pc30d,
            &self.sales_pc30d_pv24h,
            &self.sales_all_pc30d_pv24h,
            &self.revenue_generated_client_attribution,
            &self.revenue_generated_all_client_attribution,
            &self.revenue_generated_pc30d,
            &self.revenue_generated_all_pc30d,
            &self.revenue_generated_pc30d_pv24h,
            &self.revenue_generated_all_pc30d_pv24h,
        ]
    }
}

/// Typed columns of the plainest kind: text end to end, counts, billionths.
#[derive(Default)]
struct Columns {
    days: Vec<chrono::NaiveDate>,
    texts: [(String, Vec<usize>); 11],
    counts: [Vec<i64>; 5],
    decimals: [Vec<i128>; 13],
}

fn with_serde_json(body: &[u8]) -> Columns {
    let body: Body<'_> = serde_json::from_slice(body).expect("a good report");
    let mut columns = Columns::default();
    for row in &body.rows {
        columns.days.push(row.day.parse().expect("a date"));
        for ((text, ends), value) in columns.texts.iter_mut().zip(row.texts()) {
            text.push_str(value);
            ends.push(text.len());
        }
        for (column, value) in columns.counts.iter_mut().zip(row.counts()) {
            column.push(parse_integer(value).expect("a count"));
        }
        for (column, value) in columns.decimals.iter_mut().zip(row.decimals()) {
            column.push(parse_numeric(value).expect("a decimal"));
        }
    }
    columns
}

fn decode(criterion: &mut Criterion) {
    let body = report::body(ROWS);
    let layout = report::layout();
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(30).throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("serde_json, skipping", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&body)).expect("JSON"));
    });
    group.bench_function("serde_json, to typed columns", |bencher| {
        bencher.iter(|| with_serde_json(black_box(&body)));
    });
    group.bench_function("criteo-source, to typed columns", |bencher| {
        bencher.iter(|| report::decode(&layout, black_box(&body)));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
