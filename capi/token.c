/* Cancel tokens: slots of one atomic word, so that cancelling takes no lock and touches no memory that may be gone.
 *
 * A slot's word is generation << 2 | cancelled << 1 | used. A token is magic << 48 | generation << 12 | slot: a token of an
 * earlier generation matches no word, whatever became of its slot. */
#include "shim.h"

#include <stdatomic.h>
#include <string.h>

#define SLOTS 4096u
#define SLOT_BITS 12
#define MAGIC ((uint64_t)0xD515)
#define GENERATIONS (((uint64_t)1 << (48 - SLOT_BITS)) - 1)
#define USED 1u
#define CANCELLED 2u

static _Atomic uint64_t slots[SLOTS];
static atomic_uint next_slot;
static _Atomic int64_t live;

static uint64_t token_of(uint64_t word, unsigned slot) {
    return MAGIC << 48 | ((word >> 2) & GENERATIONS) << SLOT_BITS | slot;
}

/* The slot of a token, and its word at this moment; NULL when the token is not alive. */
static _Atomic uint64_t *slot_of(uint64_t token, uint64_t *word) {
    unsigned slot = (unsigned)(token & (SLOTS - 1));
    *word = atomic_load(&slots[slot]);
    return (*word & USED) && token_of(*word, slot) == token ? &slots[slot] : NULL;
}

int32_t dsl_cancel_token_create(dsl_cancel_token **out_token) {
    if (shim_is_forked()) {
        return shim_finish(DSL_STATUS_FORKED, NULL);
    }
    if (out_token == NULL) {
        return shim_finish(DSL_STATUS_INVALID, strdup("capi: out_token: got NULL, want a place for the handle"));
    }
    *out_token = NULL;
    unsigned start = atomic_fetch_add(&next_slot, 1);
    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned slot = (start + i) % SLOTS;
        uint64_t word = atomic_load(&slots[slot]);
        uint64_t fresh = ((word >> 2) + 1) << 2 | USED;
        if (!(word & USED) && atomic_compare_exchange_strong(&slots[slot], &word, fresh)) {
            atomic_fetch_add(&live, 1);
            *out_token = (dsl_cancel_token *)(uintptr_t)token_of(fresh, slot);
            return shim_finish(DSL_STATUS_OK, NULL);
        }
    }
    return shim_finish(DSL_STATUS_OUT_OF_MEMORY, strdup("capi: cancel token: 4096 are alive, free some"));
}

void dsl_cancel_token_cancel(dsl_cancel_token *token) {
    uint64_t word;
    _Atomic uint64_t *slot = slot_of((uintptr_t)token, &word);
    if (slot != NULL) {
        /* fails only when the token is freed or cancelled at this very moment */
        atomic_compare_exchange_strong(slot, &word, word | CANCELLED);
    }
}

void dsl_cancel_token_free(dsl_cancel_token *token) {
    uint64_t word;
    _Atomic uint64_t *slot = slot_of((uintptr_t)token, &word);
    while (slot != NULL) {
        if (atomic_compare_exchange_strong(slot, &word, word & ~(uint64_t)(USED | CANCELLED))) {
            atomic_fetch_sub(&live, 1);
            return;
        }
        slot = slot_of((uintptr_t)token, &word);
    }
}

int32_t shim_token_cancelled(uintptr_t token) {
    uint64_t word;
    return token != 0 && slot_of(token, &word) != NULL && (word & CANCELLED) != 0;
}

int64_t shim_token_count(void) { return atomic_load(&live); }
