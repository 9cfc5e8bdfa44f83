#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/command/command.h"
#include "harness/node_recorder.h"
#include "io/real/crash_image.h"

namespace reel::harness {
namespace {

struct RecordingFlags {
  std::string file;
  bool json = false;
};

struct ImageFlags {
  std::string file;
  std::string dir;
  std::uint64_t seed = 1;
  std::int64_t cut = -1;
  std::int64_t at = -1;
  std::uint32_t tear = 4096;
  bool json = false;
};

real::Recording read_or_refuse(const std::string& file) {
  auto recording = real::read_recording(file);
  if (!recording) refuse(file + ": " + recording.error());
  return std::move(*recording);
}

// What the node had promised by a cut, per group: everything below this id must be on the disks.
std::map<GroupId, TxnId> promised_before(const real::Recording& recording, std::size_t cut) {
  std::map<GroupId, TxnId> promised;
  for (const std::string& mark : real::marks_before(recording, cut)) {
    if (const auto promise = promise_of(mark)) {
      TxnId& next = promised[promise->group];
      next = std::max(next, promise->next);
    }
  }
  return promised;
}

nlohmann::ordered_json json_of(const std::map<GroupId, TxnId>& promised) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const auto& [group, next] : promised) {
    array.push_back({{"partition", group.value - 1}, {"next", next.value}});
  }
  return array;
}

// The records that had happened at a moment: each is preceded by the mark of its time.
std::size_t cut_at(const real::Recording& recording, std::int64_t moment_ns) {
  for (std::size_t i = 0; i < recording.records.size(); ++i) {
    if (recording.records[i].kind != real::RecordKind::mark) continue;
    const auto time = time_of(recording.records[i].text);
    if (time && *time > moment_ns) return i;
  }
  return recording.records.size();
}

Exit show_recording(const RecordingFlags& flags) {
  const real::Recording recording = read_or_refuse(flags.file);
  std::uint64_t writes = 0, syncs = 0, acknowledgements = 0;
  std::optional<std::int64_t> first, last;
  std::vector<std::int64_t> promise_times;
  std::vector<std::size_t> name_changes;  // numbers of records
  for (std::size_t i = 0; i < recording.records.size(); ++i) {
    const real::Record& record = recording.records[i];
    if (record.kind == real::RecordKind::submitted) {
      writes += record.request.verb == io::DiskVerb::write;
      syncs += record.request.verb == io::DiskVerb::sync;
      const bool renames =
          record.request.verb == io::DiskVerb::create || record.request.verb == io::DiskVerb::remove;
      if (renames) name_changes.push_back(i);
    }
    if (record.kind != real::RecordKind::mark) continue;
    if (const auto time = time_of(record.text)) {
      if (!first) first = time;
      last = time;
    }
    if (const auto promise = promise_of(record.text); promise && promise->acknowledged) {
      ++acknowledgements;
      promise_times.push_back(last.value_or(0));
    }
  }
  const auto promised = promised_before(recording, recording.records.size());
  if (flags.json) {
    nlohmann::ordered_json object{{"records", recording.records.size()},
                                  {"base_files", recording.base.size()},
                                  {"writes", writes},
                                  {"syncs", syncs},
                                  {"acknowledgements", acknowledgements},
                                  {"first_ns", first.value_or(0)},
                                  {"last_ns", last.value_or(0)},
                                  {"killed", recording.cut_short},
                                  {"ended", recording.ended},
                                  {"promised", json_of(promised)},
                                  {"acknowledged_ns", promise_times},
                                  {"name_changes", name_changes}};
    fmt::print("{}\n", object.dump());
    return Exit::ok;
  }
  fmt::print("{} records over {:.3f} s: {} writes, {} syncs, {} acknowledgements; {} files before it began\n",
             recording.records.size(), static_cast<double>(last.value_or(0) - first.value_or(0)) / 1e9,
             writes, syncs, acknowledgements, recording.base.size());
  for (const auto& [group, next] : promised) {
    fmt::print("partition {}: everything below transaction {} was promised\n", group.value - 1, next.value);
  }
  if (recording.cut_short) fmt::print("it ends in the middle of a record: the node was killed\n");
  if (recording.ended) fmt::print("it reached its size limit: what the node did later is not in it\n");
  return Exit::ok;
}

Exit make_image(const ImageFlags& flags) {
  if (flags.tear != 4096 && flags.tear != 512) misuse("--tear must be 4096 or 512");
  if (flags.cut >= 0 && flags.at >= 0) misuse("give --cut or --at, not both");
  const real::Recording recording = read_or_refuse(flags.file);
  real::CrashOptions options;
  options.seed = flags.seed;
  options.tear_bytes = flags.tear;
  options.cut = flags.at >= 0    ? cut_at(recording, flags.at)
                : flags.cut >= 0 ? static_cast<std::size_t>(flags.cut)
                                 : real::pick_cut(recording, flags.seed);
  if (options.cut > recording.records.size()) {
    misuse("--cut must be at most " + std::to_string(recording.records.size()) + ", the number of records");
  }
  const auto image = real::build_crash_image(recording, options);
  if (!image) refuse(flags.file + ": " + image.error());
  if (const auto written = real::write_crash_image(*image, flags.dir); !written) refuse(written.error());
  const auto promised = promised_before(recording, options.cut);
  if (flags.json) {
    nlohmann::ordered_json object{{"records", recording.records.size()},
                                  {"cut", options.cut},
                                  {"seed", flags.seed},
                                  {"files", image->files.size()},
                                  {"durable", image->durable_writes},
                                  {"applied", image->applied_writes},
                                  {"lost", image->lost_writes},
                                  {"torn", image->torn_writes},
                                  {"undone_names", image->undone_names},
                                  {"shortened_files", image->shortened_files},
                                  {"promised", json_of(promised)}};
    fmt::print("{}\n", object.dump());
    return Exit::ok;
  }
  fmt::print("{}: crash after record {} of {}, seed {}\n{}\n", flags.dir, options.cut,
             recording.records.size(), flags.seed, image->describe());
  for (const auto& [group, next] : promised) {
    fmt::print("partition {}: everything below transaction {} was promised\n", group.value - 1, next.value);
  }
  return Exit::ok;
}

}  // namespace

void add_disk(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("disk", "What recordings of a node's disk prove, offline");
  command->footer("Example: reel disk crash-image node1.recording --seed 7 --dir image7");
  command->require_subcommand(1);

  auto shown = std::make_shared<RecordingFlags>();
  CLI::App* recording = command->add_subcommand("recording", "What a recording holds");
  recording->footer(
      "Example: reel disk recording node1.recording\n"
      "A node records when its configuration says: record = \"node1.recording\"");
  recording->add_option("FILE", shown->file, "the recording")->required();
  recording->add_flag("--json", shown->json, "one JSON object");
  recording->callback([shown, &run] { run = [shown] { return show_recording(*shown); }; });

  auto flags = std::make_shared<ImageFlags>();
  CLI::App* image = command->add_subcommand(
      "crash-image", "Make a data directory that a power loss could have left, from a recording");
  image->footer(
      "Example: reel disk crash-image node1.recording --seed 7 --dir image7\n"
      "The same recording, cut and seed give the same directory on every machine.");
  image->add_option("FILE", flags->file, "the recording")->required();
  image->add_option("--dir", flags->dir, "the data directory to make: empty, or not there yet")->required();
  image->add_option("--seed", flags->seed, "chooses what of the undurable survives, and the cut")
      ->capture_default_str();
  image->add_option("--cut", flags->cut, "crash after this many records (default: chosen by the seed)")
      ->check(CLI::NonNegativeNumber);
  image->add_option("--at", flags->at, "crash at this CLOCK_BOOTTIME, nanoseconds")
      ->check(CLI::NonNegativeNumber);
  image->add_option("--tear", flags->tear, "bytes that are written whole or not at all: 4096 or 512")
      ->capture_default_str();
  image->add_flag("--json", flags->json, "end with one JSON object");
  image->callback([flags, &run] { run = [flags] { return make_image(*flags); }; });
}

}  // namespace reel::harness
