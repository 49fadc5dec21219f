#include "threads.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mcq {

namespace {

constexpr int SPINS = 2000;  // about 50 microseconds in all

void pause_briefly() {
#ifdef __x86_64__
    __builtin_ia32_pause();
#else
    __asm__ volatile("isb");  // as long as x86's pause; `yield` takes no time on most cores
#endif
}

void sleep_while(const uint32_t* word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake_all(const uint32_t* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, nullptr, nullptr, 0); }

}  // namespace

Threads::Threads(int count) {
    // Signals go to the threads of the program that uses the library.
    sigset_t all_signals, before;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &before);
    for (int i = 1; i < count && i < MAX_THREADS; i++) {
        workers_[started_] = {this, {}, i};
        if (pthread_create(&workers_[started_].thread, nullptr, start, &workers_[started_])) break;
        started_++;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Threads::~Threads() {
    __atomic_store_n(&ending_, true, __ATOMIC_SEQ_CST);
    run([](const void*, int) {}, nullptr);
    for (int i = 0; i < started_; i++) pthread_join(workers_[i].thread, nullptr);
}

void* Threads::start(void* worker) {
    auto* self = static_cast<Worker*>(worker);
    self->owner->serve(self->index);
    return nullptr;
}

uint32_t Threads::wait_for_new_job(uint32_t last) {
    for (int i = 0; i < SPINS; i++) {
        uint32_t number = __atomic_load_n(&number_, __ATOMIC_ACQUIRE);
        if (number != last) return number;
        pause_briefly();
    }
    __atomic_fetch_add(&sleepers_, 1, __ATOMIC_SEQ_CST);
    uint32_t number;
    while ((number = __atomic_load_n(&number_, __ATOMIC_SEQ_CST)) == last) sleep_while(&number_, last);
    __atomic_fetch_sub(&sleepers_, 1, __ATOMIC_SEQ_CST);
    return number;
}

void Threads::serve(int index) {
    uint32_t last = 0;
    while (!__atomic_load_n(&ending_, __ATOMIC_SEQ_CST)) {
        last = wait_for_new_job(last);
        uint64_t state = __atomic_load_n(&state_, __ATOMIC_ACQUIRE);
        while ((state & OPEN) && !__atomic_compare_exchange_n(&state_, &state, state + 1, true, __ATOMIC_ACQ_REL,
                                                              __ATOMIC_ACQUIRE)) {
        }
        if (!(state & OPEN)) continue;  // the job ended before this thread joined
        job_(context_, index);
        last = uint32_t(state >> 16);
        __atomic_fetch_sub(&state_, 1, __ATOMIC_RELEASE);
    }
}

void Threads::run(Job job, const void* context) {
    if (started_ == 0) return job(context, 0);
    job_ = job;
    context_ = context;
    uint32_t number = number_ + 1;
    __atomic_store_n(&state_, uint64_t(number) << 16 | OPEN, __ATOMIC_RELEASE);
    __atomic_store_n(&number_, number, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&sleepers_, __ATOMIC_SEQ_CST)) wake_all(&number_);
    job(context, 0);
    __atomic_fetch_and(&state_, ~OPEN, __ATOMIC_ACQ_REL);
    for (int i = 0; __atomic_load_n(&state_, __ATOMIC_ACQUIRE) & JOINED; i++) {
        if (i < SPINS)
            pause_briefly();
        else
            sched_yield();  // the working thread may need this core
    }
}

}  // namespace mcq
