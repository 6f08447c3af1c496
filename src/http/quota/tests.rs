//! The two promises: no refusal of our own making, and nearly all of the allowed calls used.

use std::cell::RefCell;
use std::rc::Rc;

use chrono::TimeDelta;

use super::*;

/// How a simulated server cuts its minutes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// At every full minute of its clock, after this many seconds of the test.
    Fixed(u64),
    /// The 60 seconds before each call.
    Sliding,
}

#[derive(Debug)]
struct Server {
    clock: Clock,
    cut: Cut,
    limit: usize,
    tells: bool,
    /// The server's clock minus ours.
    skew: TimeDelta,
    arrivals: Vec<Duration>,
    served: usize,
    refused: usize,
    last_refused: Duration,
}

impl Server {
    fn new(clock: &Clock, cut: Cut, limit: usize) -> Self {
        let skew = TimeDelta::zero();
        Self {
            clock: clock.clone(),
            cut,
            limit,
            tells: true,
            skew,
            arrivals: Vec::new(),
            served: 0,
            refused: 0,
            last_refused: Duration::ZERO,
        }
    }

    /// Counts a call that arrives now; true if it is served.
    fn take(&mut self) -> (bool, HeaderMap) {
        let now = self.clock.elapsed();
        let (from, reset) = match self.cut {
            Cut::Fixed(offset) => {
                let into = (now.as_secs() + 60 - offset) % 60;
                let begin = Duration::from_secs(now.as_secs().saturating_sub(into));
                (begin, Duration::from_secs(now.as_secs() + 60 - into))
            }
            Cut::Sliding => ((now + Duration::from_millis(1)).saturating_sub(WINDOW), now + WINDOW),
        };
        let counted = self.arrivals.iter().filter(|at| **at >= from).count();
        let serves = counted < self.limit;
        if serves {
            self.arrivals.push(now);
        }
        let remaining = self.limit.saturating_sub(counted + 1);
        let mut headers = HeaderMap::new();
        if self.tells {
            let server_now = self.clock.now() + self.skew;
            let reset_at = server_now + TimeDelta::from_std(reset.saturating_sub(now)).expect("minutes");
            for (name, value) in [
                ("x-ratelimit-limit", self.limit.to_string()),
                ("x-ratelimit-remaining", remaining.to_string()),
                ("x-ratelimit-reset", reset_at.timestamp().to_string()),
            ] {
                headers.insert(name, value.parse().expect("a header"));
            }
        }
        (serves, headers)
    }

    /// A slow server decides when the call arrives and dates its answer when it is written.
    fn date(&self) -> reqwest::header::HeaderValue {
        let date = (self.clock.now() + self.skew).format("%a, %d %b %Y %H:%M:%S GMT");
        date.to_string().parse().expect("a header")
    }
}

/// `workers` call one after the other, each call taking `latency`, until `duration` is over; some of the latency passes
/// on the way there.
async fn work(quota: &Arc<Quota>, server: &Rc<RefCell<Server>>, workers: usize, latency: Duration, duration: Duration) {
    let clock = quota.limit.clock.clone();
    let worker = async |index: usize| {
        let on_the_way = Duration::from_millis(20 + 97 * (index as u64 % 7));
        while clock.elapsed() < duration {
            let Ok(permit) = quota.acquire(Deadline::after(&clock, duration)).await else { break };
            clock.sleep(on_the_way).await;
            let (is_served, mut headers) = server.borrow_mut().take();
            clock.sleep(latency.saturating_sub(on_the_way)).await;
            headers.insert(DATE, server.borrow().date());
            permit.observe(&headers);
            let mut server = server.borrow_mut();
            if is_served {
                server.served += 1;
            } else {
                server.refused += 1;
                server.last_refused = clock.elapsed();
                quota.hold(reset_wait(&headers, clock.now()).unwrap_or(Duration::from_secs(1)));
            }
        }
    };
    futures_util::future::join_all((0..workers).map(worker)).await;
}

#[tokio::test(start_paused = true)]
async fn no_server_refuses_a_call_and_nearly_all_calls_are_used() {
    let minutes = 30;
    let duration = Duration::from_mins(30);
    for cut in [Cut::Fixed(0), Cut::Fixed(13), Cut::Fixed(59), Cut::Sliding] {
        for (workers, latency_secs) in [(4, 1), (50, 1), (30, 20), (60, 45)] {
            for tells in [true, false] {
                let clock = Clock::system();
                let quota = Quota::new("reports", 40, clock.clone());
                let server = Rc::new(RefCell::new(Server { tells, ..Server::new(&clock, cut, 40) }));
                work(&quota, &server, workers, Duration::from_secs(latency_secs), duration).await;
                let server = server.borrow();
                let used = server.arrivals.len();
                let case = format!("{cut:?}, {workers} workers, {latency_secs} s, headers {tells}: {used} calls");
                println!("{case} in {minutes} minutes, {} refused", server.refused);
                assert_eq!(server.refused, 0, "{case}");
                assert!(used >= 40 * minutes * 95 / 100, "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn our_clock_may_be_wrong_by_hours() {
    for hours in [-5, 5] {
        let clock = Clock::system();
        let quota = Quota::new("reports", 40, clock.clone());
        let skew = TimeDelta::hours(hours) + TimeDelta::milliseconds(300);
        let server = Rc::new(RefCell::new(Server { skew, ..Server::new(&clock, Cut::Fixed(7), 40) }));
        work(&quota, &server, 20, Duration::from_secs(3), Duration::from_mins(30)).await;
        let server = server.borrow();
        assert_eq!(server.refused, 0);
        assert!(server.served >= 40 * 30 * 95 / 100, "{}", server.served);
    }
}

#[tokio::test(start_paused = true)]
async fn another_program_on_the_same_limit_is_made_room_for() {
    for cut in [Cut::Fixed(7), Cut::Sliding] {
        let clock = Clock::system();
        let quota = Quota::new("reports", 40, clock.clone());
        let server = Rc::new(RefCell::new(Server::new(&clock, cut, 40)));
        let duration = Duration::from_mins(30);
        // It takes half of each minute at once, at its beginning, and does not care about ours.
        let other = async {
            while clock.elapsed() < duration {
                let into = (clock.elapsed().as_secs() + 60 - 7) % 60;
                clock.sleep(Duration::from_secs(60 - into)).await;
                for _ in 0..20 {
                    server.borrow_mut().take();
                }
            }
        };
        tokio::join!(work(&quota, &server, 12, Duration::from_secs(4), duration), other);
        let server = server.borrow();
        // Calls under way while the other one appears for the first time cannot be called back.
        assert!(server.last_refused < Duration::from_secs(30), "{cut:?}: refused at {:?}", server.last_refused);
        assert!(server.served >= 20 * 25, "{cut:?}: {} served", server.served);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_right_after_another_asks_with_one_call_before_it_sends_the_rest() {
    let clock = Clock::system();
    let server = Rc::new(RefCell::new(Server::new(&clock, Cut::Fixed(0), 40)));
    for _ in 0..30 {
        server.borrow_mut().take();
    }
    let quota = Quota::new("reports", 40, clock.clone());
    work(&quota, &server, 40, Duration::from_secs(2), Duration::from_mins(5)).await;
    assert_eq!(server.borrow().refused, 0);
    assert!(server.borrow().arrivals.len() >= 40 * 4);
}

#[tokio::test(start_paused = true)]
async fn the_servers_limit_is_adopted_in_both_directions() {
    for limit in [10, 1000] {
        let clock = Clock::system();
        let quota = Quota::new("reports", 40, clock.clone());
        let server = Rc::new(RefCell::new(Server::new(&clock, Cut::Fixed(0), limit)));
        work(&quota, &server, 100, Duration::from_secs(1), Duration::from_mins(10)).await;
        assert_eq!(quota.limit() as usize, limit);
        assert_eq!(server.borrow().refused, 0);
        assert!(server.borrow().served >= limit * 9, "{}", server.borrow().served);
    }
}

#[tokio::test(start_paused = true)]
async fn turns_come_in_the_order_of_asking() {
    let clock = Clock::system();
    let quota = Quota::new("reports", 2, clock.clone());
    let order = Rc::new(RefCell::new(Vec::new()));
    let caller = async |index: usize| {
        let permit = quota.acquire(Deadline::never()).await.expect("no deadline");
        order.borrow_mut().push(index);
        permit.observe(&HeaderMap::new());
    };
    futures_util::future::join_all((0..9).map(caller)).await;
    assert_eq!(*order.borrow(), (0..9).collect::<Vec<_>>());
    assert_eq!(clock.elapsed().as_secs(), 4 * 62);
    assert_eq!((quota.waited().as_secs(), quota.calls()), (4 * 62, 9));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_turn_also_behind_others() {
    let clock = Clock::system();
    let quota = Quota::new("reports", 1, clock.clone());
    quota.acquire(Deadline::never()).await.expect("the first").observe(&HeaderMap::new());
    let patient = quota.acquire(Deadline::never());
    let hasty = quota.acquire(Deadline::after(&clock, Duration::from_secs(30)));
    let (patient, hasty) = tokio::join!(patient, hasty);
    assert!(patient.is_ok());
    assert_eq!(hasty.expect_err("too late").to_string(), "the `reports` limit allows no call before the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_first_call_that_is_never_answered_does_not_keep_the_others_for_long() {
    let clock = Clock::system();
    let quota = Quota::new("reports", 40, clock.clone());
    let silent = quota.acquire(Deadline::never()).await.expect("the first");
    quota.acquire(Deadline::never()).await.expect("the second").observe(&HeaderMap::new());
    assert_eq!(clock.elapsed(), PROBE_WAIT);
    drop(silent);
}

fn said(headers: &[(&'static str, &str)]) -> RateLimitHeaders {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().expect("a header"));
    }
    RateLimitHeaders::read(&map, DateTime::from_timestamp(1_628_249_300, 0).expect("a time"))
}

#[test]
fn headers_are_read_under_both_names_and_nonsense_is_ignored() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    // Criteo docs, page Rate limits, gives 1628249355 as an example of a reset.
    let criteo = [("x-ratelimit-limit", "40"), ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1628249355")];
    assert_eq!(said(&criteo), RateLimitHeaders { limit: Some(40), remaining: Some(3), reset_in: seconds(56) });
    assert_eq!(said(&[("ratelimit-limit", "40;w=60"), ("ratelimit-reset", "7")]).reset_in, seconds(8));
    assert_eq!(said(&[("ratelimit-limit", "40;w=60")]).limit, Some(40));
    let skewed = [("date", "Fri, 06 Aug 2021 11:29:00 GMT"), ("x-ratelimit-reset", "1628249355")];
    assert_eq!(said(&skewed).reset_in, seconds(16));
    assert_eq!(said(&[("x-ratelimit-reset", "1628249500")]).reset_in, seconds(120));
    for nonsense in ["1628249355000", "1628249200", "1728249355", "-5", "", "soon", "99999999999999999999999"] {
        assert_eq!(
            said(&[("x-ratelimit-reset", nonsense), ("x-ratelimit-limit", "0")]),
            RateLimitHeaders::default(),
            "{nonsense}"
        );
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn no_sixty_seconds_ever_hold_more_calls_than_the_limit(
        limit in 1_u32..50,
        gaps in proptest::collection::vec(0_u64..4000, 1..300),
    ) {
        let mut state = State::new(limit);
        state.probe = Probe::Done;
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap);
            while let Verdict::At(until) = state.verdict(now) {
                proptest::prop_assert!(until > now);
                now = until;
            }
            sent.push(now);
        }
        for (index, at) in sent.iter().enumerate() {
            let within = sent[index..].iter().take_while(|later| **later < *at + WINDOW).count();
            proptest::prop_assert!(within <= limit as usize);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn classes_under_one_limit_never_exceed_it_together_and_are_counted_apart() {
    // An authorization-code app with a consent of three advertisers, which its first call finds out.
    let clock = Clock::system();
    let report = Quota::new("report", 10, clock.clone());
    let default = report.beside("default");
    let mut sent = Vec::new();
    for number in 0..200_u32 {
        let quota = if number % 3 == 0 { &default } else { &report };
        quota.acquire(Deadline::never()).await.expect("a turn").observe(&HeaderMap::new());
        sent.push(clock.elapsed());
        if number == 0 {
            report.expect_limit(30);
        }
    }
    for (first, at) in sent.iter().enumerate() {
        let within = sent[first..].iter().take_while(|later| **later < *at + Duration::from_mins(1)).count();
        assert!(within <= 30, "{within} calls in the minute after {at:?}");
    }
    assert_eq!((report.calls(), default.calls(), default.limit()), (133, 67, 30));
    assert!(clock.elapsed() < Duration::from_secs(200 / 30 * 62 + 10), "and nearly all of it is used");
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-limit", "20".parse().expect("a header"));
    default.acquire(Deadline::never()).await.expect("a turn").observe(&headers);
    report.expect_limit(30);
    assert_eq!(report.limit(), 20, "the server knows better");
}
