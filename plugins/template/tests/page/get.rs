use ganymede::{Context, Download, Factory, FileWriter, RetryDelegate};
use ganymede_gopher::Gopher;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file] = arguments.as_slice() else { return Err("usage: get URL FILE".into()) };
    let factory = Factory::new().register("gopher", Gopher::default());
    let mut download = factory.download(url)?.writer(FileWriter::new(file)).handler(RetryDelegate::new(3));
    println!("{} bytes", download.run(&Context::new())?.facts().size());
    Ok(())
}
