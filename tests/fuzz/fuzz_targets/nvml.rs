//! Lines of the NVML reader, and every fact that a recorded machine makes of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::collect::collect;
use yanji::evidence::Reading;
use yanji::host::{Capture, Host, Query, RecordedHost};
use yanji::parse::nvml;

fuzz_target!(|input: &[u8]| {
    let answers = nvml::parse(input);
    let _ = (answers.device_count(), answers.gave_up(), answers.library(nvml::NVML_LIBRARY));
    let mut capture = Capture::default();
    capture.insert(Query::Nvml.path(), input);
    let host = RecordedHost::from(capture);
    assert!(matches!(host.ask(&Query::Nvml), Reading::Known(_)));
    let evidence = collect(&host);
    assert!(evidence.scope("gpu").count() <= nvml::MAX_DEVICES as usize);
});
