// The shape of one simulated run, drawn from its seed: cluster, knobs, clients. Half of the dimensions stay at their
// defaults in any one run (swarm testing: features that are off let others go far). A shape is a pure function of
// (seed, options), so a trace needs to name only those.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/cuts.h"
#include "node/node.h"
#include "sim/world.h"

namespace reel::harness {

enum class Mode : std::uint8_t { bounded, unbounded };
enum class Setting : std::uint8_t {
  calm,    // no faults at all: happy path, liveness, speed
  normal,  // the default swarm
  harsh,   // every fault kind that is asked for (else three of four) is on, and twice as often
};
enum class Workload : std::uint8_t { mixed, append, feed, log, locks, bank, groups, lists, views, overload };

struct SimulationOptions {
  std::uint64_t seed = 1;
  Mode mode = Mode::bounded;
  Setting setting = Setting::normal;
  Workload workload = Workload::mixed;
  std::optional<std::vector<sim::FaultKind>> faults;  // only these kinds; nullopt: all
  std::optional<std::uint32_t> nodes;                 // fixed cluster size
  std::uint32_t scale = 1;                            // multiplies the clients' transactions: long runs
  Cuts cuts;                                          // what a shrinker has left out

  // As strings, for the header of a trace; from_map refuses unknown keys and values with a sentence.
  [[nodiscard]] std::map<std::string, std::string> to_map() const;
  [[nodiscard]] static std::expected<SimulationOptions, std::string> from_map(
      const std::map<std::string, std::string>& map);
};

[[nodiscard]] const char* name_of(Mode mode);
[[nodiscard]] const char* name_of(Setting setting);
[[nodiscard]] const char* name_of(Workload workload);
[[nodiscard]] std::optional<Mode> mode_by_name(std::string_view name);
[[nodiscard]] std::optional<Setting> setting_by_name(std::string_view name);
[[nodiscard]] std::optional<Workload> workload_by_name(std::string_view name);

enum class ClientKind : std::uint8_t {
  counted,  // appends a given number
  greedy,   // by the clock until the storm is over: more than there can be
  modest,   // likewise: little
};

struct ClientShape {
  ClientKind kind = ClientKind::counted;
  std::uint64_t total = 0;
  std::uint32_t burst = 1;
  io::Duration think_mean;
  std::uint32_t bytes_max = 64;
  bool ordered = true;
  std::uint32_t outstanding_max = 256;
  std::uint32_t call_transactions_max = 64;
  std::uint32_t calls_in_flight_max = 4;
};

// What a reader asks for.
struct ReaderShape {
  std::uint32_t header_mask = 0;
  std::uint32_t header_value = 0;
  std::optional<std::uint32_t> lock_key;  // of the lock clients, whose partition it then reads
  std::optional<io::Duration> from_time;  // into the storm
  std::uint32_t bytes_max = 16384;
  bool looks_up = false;
};

struct Shape {
  std::uint32_t nodes = 3;
  node::NodeOptions node;
  std::vector<ClientShape> appenders;
  std::vector<ReaderShape> readers;
  std::uint32_t log_clients = 0;         // whose history is judged for linearizability
  std::uint32_t log_operations = 0;      // of each
  std::uint32_t lock_clients = 0;        // that contend for keys
  std::uint32_t lock_operations = 0;     // of each
  std::uint32_t lock_keys = 8;           // shared by all of them
  std::uint32_t bank_clients = 0;        // tellers of the bank
  std::uint32_t bank_operations = 0;     // of each
  std::uint32_t bank_accounts = 4;       // shared by all of them; at least 2
  std::uint32_t bank_outstanding = 4;    // submits of each at once
  std::uint32_t list_clients = 0;        // whose transactions on lists are judged by their histories
  std::uint32_t list_operations = 0;     // of each
  std::uint32_t list_keys = 4;           // shared by all of them
  std::uint32_t list_outstanding = 4;    // submits of each at once
  std::uint32_t group_members = 0;       // of one reader group
  std::uint32_t group_partitions = 0;    // that an operator creates for it
  std::uint32_t group_transactions = 0;  // to each of those
  io::Duration group_patience = io::seconds(1);
  std::uint32_t view_clients = 0;        // that keep views of several partitions
  std::uint32_t view_operations = 0;     // of each
  std::uint32_t view_partitions = 1;     // that each of them mounts
  std::uint32_t view_outstanding = 4;    // submissions of each at once
  bool view_durable = false;             // their views survive their crashes
  bool lock_looks = false;               // they ask what became of a request before they resolve it
  io::Duration storm = io::seconds(10);  // how long faults go on
  sim::WorldOptions world;
};

// Replicas have ids 1, 2, …; clients start here.
inline constexpr std::uint64_t kFirstClient = 101;

[[nodiscard]] Shape draw_shape(const SimulationOptions& options, sim::Decisions& decisions);
// Is it about one dimension's leaving its default? Then 0 says no.
[[nodiscard]] bool is_knob(const sim::ChoiceKey& key);

}  // namespace reel::harness
