//! Makes sure that the folder of built pages exists, so that `cargo build` works before `make web`.
fn main() {
    println!("cargo:rerun-if-changed=web/dist");
    if let Err(error) = std::fs::create_dir_all("web/dist") {
        println!("cargo:warning=web/dist cannot be made: {error}");
    }
}
