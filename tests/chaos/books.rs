//! The three books, side by side.

use crate::merchant::{self, states};
use crate::{Book, Line};

/// What came of the comparison.
pub struct Books {
    rows: Vec<(String, [usize; 3])>,
    lost: Vec<String>,
    undecided: Vec<String>,
    different: Vec<String>,
    figures: merchant::Figures,
}

impl Books {
    /// Compares; `buyers` holds acknowledged orders only.
    pub fn compare(ledger: &Book, merchant: &merchant::Result, buyers: &Book) -> Self {
        let of = [ledger, &merchant.book, buyers];
        let mut rows = vec![("orders".to_owned(), of.map(Book::len))];
        for state in ["accepted", "forwarded", "confirmed", "rejected", "unknown"] {
            let count = |book| states(book).get(state).copied().unwrap_or_default();
            rows.push((state.to_owned(), of.map(count)));
        }
        let missing =
            |key: &&String| !ledger.contains_key(*key) || !merchant.book.contains_key(*key);
        let decided = |line: &Line| line.state == "confirmed" || line.state == "rejected";
        let differs = |key: &str, line: &Line| {
            let others = [ledger.get(key), merchant.book.get(key)];
            others.into_iter().flatten().any(|other| other != line)
        };
        let keys = |wanted: &dyn Fn(&String, &Line) -> bool| -> Vec<String> {
            let found = buyers.iter().filter(|(key, line)| wanted(key, line));
            found.map(|(key, _)| key.clone()).collect()
        };
        Self {
            rows,
            lost: keys(&|key, _| missing(&key)),
            undecided: keys(&|_, line| !decided(line)),
            different: keys(&|key, line| decided(line) && differs(key, line)),
            figures: merchant.figures,
        }
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "the result")]
    pub fn print(&self, title: &str) {
        println!(
            "\n{title}\n{:>12} {:>9} {:>9} {:>9}",
            "", "ledger", "merchant", "buyers"
        );
        for (name, [ledger, merchant, buyers]) in &self.rows {
            println!("{name:>12} {ledger:>9} {merchant:>9} {buyers:>9}");
        }
        println!(
            "lost after the ack: {}; without an answer: {}; different in two books: {}; \
             another order under one key: {}",
            self.lost.len(),
            self.undecided.len(),
            self.different.len(),
            self.figures.contradicting
        );
        println!(
            "the merchant got {} requests, {} of them repetitions\n",
            self.figures.requests, self.figures.repeated
        );
    }

    /// Fails unless all is as it should be.
    pub fn check(&self) {
        assert_eq!(self.lost, [""; 0], "lost after the ack");
        assert_eq!(self.undecided, [""; 0], "buyers without an answer");
        assert_eq!(self.different, [""; 0], "books that say different things");
        assert_eq!(self.figures.contradicting, 0, "other orders under one key");
        let (_, [ledger, merchant, buyers]) = &self.rows[0];
        assert_eq!(
            (ledger, merchant),
            (buyers, buyers),
            "orders that nobody placed"
        );
    }
}
