use std::{num::NonZeroU64, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// Holds readers back so that together they read no more than so many bytes in a second.
#[derive(Debug)]
pub(super) struct Limiter {
    bytes_per_second: Option<NonZeroU64>,
    /// When what was taken so far is paid for.
    free_at: Mutex<Instant>,
}

impl Limiter {
    /// A limit, or none.
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second: bytes_per_second.and_then(NonZeroU64::new),
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Takes `bytes`, after waiting for what was taken before to be paid for.
    pub(super) async fn take(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let start = {
            let mut free_at = self.free_at.lock().await;
            let start = (*free_at).max(Instant::now());
            #[expect(
                clippy::cast_precision_loss,
                reason = "a rate within a millionth is exact enough"
            )]
            let seconds = bytes as f64 / rate.get() as f64;
            *free_at = start + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4);
            start
        };
        tokio::time::sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readers_together_keep_to_the_rate() {
        let (limiter, start) = (Limiter::new(Some(1000)), Instant::now());
        for _ in 0..10 {
            futures::join!(limiter.take(250), limiter.take(250));
        }
        let elapsed = start.elapsed().as_secs_f64();
        assert!(
            (4.5..=5.0).contains(&elapsed),
            "5000 bytes took {elapsed} s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let start = Instant::now();
        Limiter::new(None).take(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
