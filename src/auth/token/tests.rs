//! When a token is fetched, and when not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A cache whose fetches are counted, take a second, and answer as `answer` says.
fn cache<F>(answer: F) -> (Clock, Arc<AtomicUsize>, Arc<TokenCache>)
where
    F: Fn(usize) -> Result<Duration, AuthError> + Send + Sync + 'static,
{
    let clock = Clock::system();
    let fetches = Arc::new(AtomicUsize::new(0));
    let (counter, sleeper) = (Arc::clone(&fetches), clock.clone());
    let answer = Arc::new(answer);
    let cache = TokenCache::new(clock.clone(), move |_| {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let (sleeper, answer) = (sleeper.clone(), Arc::clone(&answer));
        async move {
            sleeper.sleep(Duration::from_secs(1)).await;
            answer(number).map(|lifetime| IssuedToken { token: format!("t{number}").into(), lifetime })
        }
        .boxed()
    });
    (clock, fetches, cache)
}

fn living(secs: u64) -> impl Fn(usize) -> Result<Duration, AuthError> {
    move |_| Ok(Duration::from_secs(secs))
}

async fn get(cache: &TokenCache) -> Bearer {
    cache.get(Deadline::never()).await.expect("a token")
}

#[tokio::test(start_paused = true)]
async fn a_crowd_without_a_token_makes_one_fetch() {
    let (_, fetches, cache) = cache(living(900));
    let bearers = futures_util::future::join_all((0..50).map(|_| get(&cache))).await;
    assert!(bearers.iter().all(|bearer| bearer.is(&bearers[0])));
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_a_minute_before_its_end_and_not_earlier() {
    let (clock, fetches, cache) = cache(living(900));
    get(&cache).await;
    clock.sleep(Duration::from_secs(838)).await;
    get(&cache).await;
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    clock.sleep(Duration::from_secs(2)).await;
    get(&cache).await;
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_seconds_is_used_for_most_of_its_life() {
    let (clock, fetches, cache) = cache(living(30));
    while clock.elapsed() < Duration::from_secs(270) {
        get(&cache).await;
        clock.sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 10);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_tokens_are_dead_on_arrival_is_not_hammered() {
    let (clock, fetches, cache) = cache(living(0));
    while clock.elapsed() < Duration::from_secs(20) {
        get(&cache).await;
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 11);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_dropped_unless_it_was_replaced_already() {
    let (_, fetches, cache) = cache(living(900));
    let old = get(&cache).await;
    assert!(cache.reject(&old), "it was the current one");
    assert!(!cache.reject(&old), "it was dropped already");
    let new = get(&cache).await;
    assert!(!new.is(&old));
    assert!(!cache.reject(&old), "it was replaced already");
    assert!(get(&cache).await.is(&new));
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_a_wrong_secret_asks_once_and_everyone_is_told() {
    let (_, fetches, cache) =
        cache(|_| Err(AuthError::Refused { error: "invalid_client".into(), description: String::new() }));
    let results = futures_util::future::join_all((0..20).map(|_| cache.get(Deadline::never()))).await;
    assert!(results.iter().all(|result| matches!(result, Err(AuthError::Refused { .. }))));
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_somebody_elses_fetch() {
    let (clock, _, cache) = cache(living(900));
    let deadline = Deadline::after(&clock, Duration::from_millis(500));
    let (first, second) = tokio::join!(get(&cache), cache.get(deadline));
    assert!(matches!(second, Err(AuthError::DeadlinePassed)) && !format!("{cache:?} {first:?}").contains("t0"));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_is_finished_and_kept_when_whoever_wanted_the_token_is_cancelled() {
    let (clock, fetches, cache) = cache(living(900));
    let half_a_second = Deadline::after(&clock, Duration::from_millis(500));
    assert!(clock.within(half_a_second, get(&cache)).await.is_err(), "the request was dropped in the middle");
    let bearer = get(&cache).await;
    assert_eq!(fetches.load(Ordering::SeqCst), 1, "the fetch under way was not repeated");
    let late = Deadline::after(&clock, Duration::ZERO);
    assert!(cache.reject(&bearer) && matches!(cache.get(late).await, Err(AuthError::DeadlinePassed)));
    assert!(!get(&cache).await.is(&bearer));
    assert_eq!(fetches.load(Ordering::SeqCst), 2, "nor was the one whose deadline passed");
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another server's error")]
struct Other;

impl TokenError for Other {
    fn is_permanent(&self) -> bool {
        true
    }

    fn deadline_passed() -> Self {
        Self
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_server_have_an_error_of_their_own() {
    let cache: Arc<TokenCache<Other>> = TokenCache::new(Clock::system(), |_| async { Err(Other) }.boxed());
    assert_eq!(cache.get(Deadline::never()).await.expect_err("no token"), Other);
    let error = cache.bearer(Deadline::never()).await.expect_err("no token");
    assert!(error.downcast_ref::<Other>().is_some());
}
