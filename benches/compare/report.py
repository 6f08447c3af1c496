"""One statistics report in Criteo's form, the same bytes every time.

A day of 20 advertisers with about 200 ad sets and 3,334 ads, by device and operating system: 99,999 rows, which is the
largest answer that is not a capped one. Every cell is a JSON string. Names repeat as they do in accounts, ad sets come in
no particular order, delivery has a long tail, and most rows have no sale.
"""

import itertools
import json
import math
import random
from collections import defaultdict
from decimal import Decimal

DAY = "2026-11-01"
CURRENCY = "EUR"
REPORT = "ads_by_device"

DIMENSIONS = [
    "Day", "AdvertiserId", "Advertiser", "CampaignId", "Campaign", "AdsetId", "Adset", "AdId", "Ad", "Device", "Os",
    "Currency",
]
COUNTS = ["Displays", "Clicks", "ViewableDisplays", "NonViewableDisplays", "UntrackableDisplays"]
DECIMALS = [
    "AdvertiserCost", "SalesClientAttribution", "SalesAllClientAttribution", "SalesPc30d", "SalesAllPc30d",
    "SalesPc30dPv24h", "SalesAllPc30dPv24h", "RevenueGeneratedClientAttribution",
    "RevenueGeneratedAllClientAttribution", "RevenueGeneratedPc30d", "RevenueGeneratedAllPc30d",
    "RevenueGeneratedPc30dPv24h", "RevenueGeneratedAllPc30dPv24h",
]
METRICS = COUNTS + DECIMALS
COLUMNS = DIMENSIONS + METRICS

DEVICES = ["Desktop", "Mobile", "Tablet", "Connected TV", "Other"]
SYSTEMS = ["Windows", "macOS", "Linux", "Android", "iOS", "Unknown"]
ADVERTISERS = 20
AD_SETS = 200


def snake_case(name):
    """The column that criteo-source makes of a field, for the fields of this report."""
    pairs = {"AdsetId": "ad_set_id", "Adset": "ad_set_name"}
    pairs.update({name: f"{name.lower()}_name" for name in ("Advertiser", "Campaign", "Ad")})
    if name in pairs:
        return pairs[name]
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def advertiser_ids():
    return [str(41_207 + 977 * number) for number in range(ADVERTISERS)]


class Account:
    """Identifiers and names that repeat from row to row."""

    def __init__(self, rows):
        chance = random.Random("account")
        cuts = len(DEVICES) * len(SYSTEMS)
        ads = math.ceil(rows / cuts)
        brands = [f"{first} {second} (EMEA)" for first in ("Nord", "Vela", "Atlas", "Maison", "Kite")
                  for second in ("Fashion", "Électronique", "Travel", "Home & Garden")]
        seasons = ["Spring", "Summer Sale", "Back to School", "Autumn", "Black Friday", "Winter"]
        aims = ["Retargeting", "Customer Acquisition", "Loyal Buyers", "Cart Abandoners"]
        self.ads = []
        ad_sets = []
        for number in range(AD_SETS):
            advertiser = number % ADVERTISERS
            campaign = (number // ADVERTISERS) % 4
            country = chance.choice(["DE", "FR", "ES", "IT", "GB", "US", "JP"])
            season = chance.choice(seasons)
            target = chance.choice(["Mobile app", "All devices"])
            ad_sets.append({
                "AdvertiserId": advertiser_ids()[advertiser],
                "Advertiser": brands[advertiser],
                "CampaignId": str(310_000 + advertiser * 10 + campaign),
                "Campaign": f"{brands[advertiser]} | {aims[campaign]} | Performance and reach | always on 2026",
                "AdsetId": str(chance.randrange(500_000, 990_000)),
                "Adset": f"{season} 2026 - {aims[campaign]} - {country} - {target} - CPC optimised",
            })
        chance.shuffle(ad_sets)
        for ad_set, count in zip(ad_sets, self._shares(chance, ads)):
            for number in range(count):
                size = chance.choice(["300x250", "728x90", "160x600", "320x50", "970x250"])
                style = chance.choice(["Carousel", "Grid", "Single product", "Storefront"])
                identifier = str(chance.randrange(10_000_000, 99_000_000))
                self.ads.append(dict(ad_set, AdId=identifier, Ad=f"{style} {size} version {number % 4 + 1} - {ad_set['Adset']}"))

    @staticmethod
    def _shares(chance, ads):
        weights = [chance.lognormvariate(0, 0.7) for _ in range(AD_SETS)]
        shares = [max(1, int(ads * weight / sum(weights))) for weight in weights]
        while sum(shares) != ads:
            position = chance.randrange(AD_SETS)
            step = 1 if sum(shares) < ads else -1
            if shares[position] + step > 0:
                shares[position] += step
        return shares


def rows(count):
    """The report's rows, each a dictionary of texts in the order of the wire."""
    chance = random.Random("rows")
    produced = 0
    for ad in Account(count).ads:
        popularity = chance.lognormvariate(7.0, 1.5)
        price = chance.uniform(0.4, 6.0)
        basket = chance.uniform(18, 240)
        for device, system in itertools.product(DEVICES, SYSTEMS):
            if produced == count:
                return
            produced += 1
            displays = int(popularity * chance.lognormvariate(0, 0.9))
            viewable = int(displays * chance.uniform(0.45, 0.85))
            unknown = int((displays - viewable) * 0.1)
            clicks = round(displays * chance.uniform(0.001, 0.009))
            own = round(clicks * chance.uniform(0, 0.25))
            own_all, viewed = own + round(own * 0.2), own + round(displays * chance.uniform(0, 0.0005))
            sales = [own, own_all, own, own_all, viewed, viewed + round(viewed * 0.15)]
            money = [Decimal(round(sale * basket * chance.uniform(8000, 12000))).scaleb(-4) for sale in sales]
            cost = Decimal(round(displays * price * chance.uniform(8, 12))).scaleb(-4)
            row = {"Day": DAY}
            row.update(ad)
            row.update({"Device": device, "Os": system, "Currency": CURRENCY})
            values = [displays, clicks, viewable, displays - viewable - unknown, unknown, cost, *sales, *money]
            row.update((name, format(value, "f") if isinstance(value, Decimal) else str(value))
                       for name, value in zip(METRICS, values))
            yield row


def write(folder, count):
    """Writes `report.json` as Criteo sends it, `rows.json` without its envelope, and `totals.json` (day and advertiser)."""
    totals = defaultdict(lambda: defaultdict(Decimal))
    everything = defaultdict(Decimal)
    names = {}
    pieces = []
    for row in rows(count):
        pieces.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
        names[row["AdvertiserId"]] = row["Advertiser"]
        for metric in METRICS:
            value = Decimal(row[metric])
            totals[row["AdvertiserId"]][metric] += value
            everything[metric] += value

    def texts(sums):
        return {metric: format(sums[metric], "f") for metric in METRICS}

    def body(lines):
        total = json.dumps(texts(everything), separators=(",", ":"))
        return f'{{"Total":{total},"Rows":[{",".join(lines)}]}}'

    by_advertiser = [
        json.dumps({"Day": DAY, "AdvertiserId": identifier, "Advertiser": names[identifier], "Currency": CURRENCY,
                    **texts(totals[identifier])}, ensure_ascii=False, separators=(",", ":"))
        for identifier in sorted(names)
    ]
    (folder / "report.json").write_text(body(pieces), encoding="utf-8")
    (folder / "rows.json").write_text("[" + ",".join(pieces) + "]", encoding="utf-8")
    (folder / "totals.json").write_text(body(by_advertiser), encoding="utf-8")
    return texts(everything)


if __name__ == "__main__":
    import pathlib
    import sys

    sums = write(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
    (pathlib.Path(sys.argv[1]) / "sums.json").write_text(json.dumps(sums))
