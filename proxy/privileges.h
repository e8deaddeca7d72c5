// What the process gives up once everything is bound: the user it was started as, and whatever it could gain
// later.
//
// Thread: the control thread, before the workers' threads begin: of Linux's capabilities each thread has its
// own, and a new one has those of its maker.
#pragma once

#include <string>

#include "base/error.h"
#include "config/config.h"

namespace remora::proxy {

// From now on no program that is executed gains rights by that. Before the first thread is made.
void forbid_new_privileges();

// Becomes runtime.user with its groups, keeping of root's rights only that to bind ports below 1024 (for
// listeners that a reload brings). An error's detail says what is wrong with the user, and a remedy.
Result<void> give_up_privileges(const config::Runtime& runtime);

// Once the configuration has private keys or a key of the mesh, and does not allow runtime.core_dumps: the
// kernel makes no core dump, and lets nobody but root look into this process's memory. Only core_dumps takes
// that back, not keys that go.
void guard_memory(const config::Config& config);

// Whether this user can open the file, as whoever the process was before could.
bool readable(const std::string& file);
bool writable(const std::string& file);

}  // namespace remora::proxy
