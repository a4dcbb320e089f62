//! Welch's t-test: whether two kinds of times have the same mean.

/// Times above this share of all are left out: they are the machine's, not the program's.
const KEPT_SHARE: f64 = 0.95;

/// Welch's t of `times`, each with the kind that it is of, 0 or 1.
pub fn t(times: &[(usize, f64)]) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let limit = sorted[(times.len() as f64 * KEPT_SHARE) as usize];
    let [first, last] = [0, 1].map(|which| {
        let kept = times
            .iter()
            .filter(|(of, time)| *of == which && *time <= limit);
        Sample::of(kept.map(|(_, time)| *time))
    });
    (first.mean - last.mean) / (first.error_squared + last.error_squared).sqrt()
}

/// A mean and how sure it is.
struct Sample {
    mean: f64,
    error_squared: f64,
}

impl Sample {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for value in values {
            count += 1.0;
            let off = value - mean;
            mean += off / count;
            squares += off * (value - mean);
        }
        Self {
            mean,
            error_squared: squares / (count - 1.0) / count,
        }
    }
}
