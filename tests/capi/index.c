/* Galleries: add, search, names, files; K-means. Rows are on an arc, so that neighbours are known. */
#include "check.h"

#include <math.h>

enum { n = 6, dim = 2 };

static float rows[n * dim];

static void arc(void) {
    for (int i = 0; i < n; i++) {
        rows[2 * i] = (float)(3 * cos(0.1 * i)); /* not of unit length */
        rows[2 * i + 1] = (float)(3 * sin(0.1 * i));
    }
}

static dsl_index *gallery(void) {
    static const char *const ids[n] = {"a", "b", "c", "d", "e", ""};
    static const char *const groups[n] = {"p", "p", NULL, "", "q", "q"};
    static const int64_t labels[n] = {0, 1, 2, -1, 4, 5};
    dsl_index *index = NULL;
    CHECK_OK(dsl_index_create(NULL, dim, &index));
    CHECK_OK(dsl_index_add(index, rows, n, ids, NULL, labels, groups));
    return index;
}

static void adding(void) {
    dsl_index *index = NULL;
    int64_t size = -1, label = 0;
    char id[DSL_INDEX_TEXT_SIZE], group[DSL_INDEX_TEXT_SIZE], text[512];
    size_t needed = 0;
    static const int64_t numbers[1] = {INT64_MIN};
    static const char *const letter[1] = {"x"};
    CHECK_STATUS(dsl_index_create(NULL, 0, &index), DSL_STATUS_INVALID, "embedding_dim");
    CHECK_STATUS(dsl_index_create(NULL, dim, NULL), DSL_STATUS_INVALID, "out_index");
    CHECK_OK(dsl_index_create(NULL, dim, &index));
    CHECK_OK(dsl_index_add(index, NULL, 0, NULL, NULL, NULL, NULL));
    CHECK_OK(dsl_index_add(index, rows, 1, NULL, NULL, NULL, NULL));
    CHECK_OK(dsl_index_add(index, rows, 1, NULL, numbers, NULL, NULL));
    CHECK_STATUS(dsl_index_add(index, rows, 1, letter, NULL, NULL, NULL), DSL_STATUS_INVALID, "ids");
    CHECK_STATUS(dsl_index_add(index, rows, 1, letter, numbers, NULL, NULL), DSL_STATUS_INVALID, "ids");
    CHECK_STATUS(dsl_index_add(index, NULL, 1, NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "NULL");
    CHECK_STATUS(dsl_index_add(index, rows, SIZE_MAX, NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "memory");
    CHECK_STATUS(dsl_index_add(NULL, rows, 1, NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "index");
    CHECK_OK(dsl_index_size(index, &size));
    CHECK(size == 2);
    CHECK_OK(dsl_index_item(index, 0, id, sizeof id, group, sizeof group, &label));
    CHECK(strcmp(id, "0") == 0 && strcmp(group, "") == 0 && label == -1);
    CHECK_STATUS(dsl_index_item(index, 1, id, 20, NULL, 0, NULL), DSL_STATUS_BUFFER_TOO_SMALL, "20");
    CHECK_OK(dsl_index_item(index, 1, id, 21, NULL, 0, NULL));
    CHECK(strcmp(id, "-9223372036854775808") == 0);
    CHECK_STATUS(dsl_index_item(index, 2, id, sizeof id, NULL, 0, NULL), DSL_STATUS_NOT_FOUND, "row 2");
    CHECK_STATUS(dsl_index_info(index, text, 3, &needed), DSL_STATUS_BUFFER_TOO_SMALL, "3");
    CHECK(needed <= sizeof text);
    CHECK_OK(dsl_index_info(index, text, sizeof text, NULL));
    CHECK(strstr(text, "\"size\": 2") != NULL && strstr(text, "\"number\"") != NULL);
    dsl_index_free(index);
    CHECK_STATUS(dsl_index_size(index, &size), DSL_STATUS_INVALID, "freed");
    dsl_index_free(NULL);
}

static void searching(void) {
    dsl_index *index = gallery(), *copy = NULL;
    dsl_search_options o;
    dsl_cancel_token *token = NULL;
    static const char *const own_id[1] = {"a"}, *const own_group[1] = {"p"};
    static const int64_t number[1] = {1};
    const int32_t learner = 0;
    int64_t found[8];
    float similarities[8];
    CHECK_OK(dsl_index_search(index, rows, 1, 3, NULL, NULL, found, similarities, 3));
    CHECK(found[0] == 0 && found[1] == 1 && found[2] == 2);
    CHECK(fabs((double)similarities[2] - cos(0.2)) < 1e-6);
    DSL_INIT(&o);
    o.exclude_ids = own_id;
    CHECK_OK(dsl_index_search(index, rows, 1, 8, &o, NULL, found, similarities, 8));
    CHECK(found[0] == 1 && found[4] == 5 && found[5] == -1 && isinf(similarities[5]) && similarities[5] < 0);
    o.exclude_groups = own_group;
    CHECK_OK(dsl_index_search(index, rows, 1, 1, &o, NULL, found, similarities, 8));
    CHECK(found[0] == 2);
    CHECK_STATUS(dsl_index_search(index, rows, 1, 3, &o, NULL, found, similarities, 2), DSL_STATUS_BUFFER_TOO_SMALL, "room");
    CHECK_STATUS(dsl_index_search(index, rows, 1, 0, &o, NULL, found, similarities, 2), DSL_STATUS_INVALID, "k");
    CHECK_STATUS(dsl_index_search(index, rows, 1, 1, &o, NULL, NULL, similarities, 2), DSL_STATUS_INVALID, "out_rows");
    o.exclude_ids = NULL;
    o.exclude_int_ids = number;
    CHECK_STATUS(dsl_index_search(index, rows, 1, 1, &o, NULL, found, similarities, 8), DSL_STATUS_INVALID, "ids");
    o.exclude_int_ids = NULL;
    o.device = "cuda"; /* there is none: not silently the CPU */
    CHECK_STATUS(dsl_index_search(index, rows, 1, 1, &o, NULL, found, similarities, 8), DSL_STATUS_DEVICE, "cuda");
    o.device = NULL;
    o.learner = &learner;
    CHECK_STATUS(dsl_index_search(index, rows, 1, 1, &o, NULL, found, similarities, 8), DSL_STATUS_INVALID, "learner");
    CHECK_OK(dsl_cancel_token_create(&token));
    dsl_cancel_token_cancel(token);
    CHECK_STATUS(dsl_index_search(index, rows, 1, 1, NULL, token, found, similarities, 8), DSL_STATUS_CANCELLED, "");
    dsl_cancel_token_free(token);

    CHECK_OK(dsl_index_save(index, "index.dsl"));
    dsl_index_free(index);
    CHECK_STATUS(dsl_index_load("no-such.dsl", NULL, &copy), DSL_STATUS_NOT_FOUND, "no-such.dsl");
    CHECK(copy == NULL);
    CHECK_OK(dsl_index_load("index.dsl", NULL, &copy));
    CHECK_OK(dsl_index_search(copy, rows, n, 1, NULL, NULL, found, similarities, n));
    for (int i = 0; i < n; i++) {
        CHECK(found[i] == i);
    }
    CHECK_STATUS(dsl_index_check_model(copy, NULL), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_index_save(copy, "no-such-folder/index.dsl"), DSL_STATUS_NOT_FOUND, "index.dsl");
    dsl_index_free(copy);
}

static void clustering(void) {
    int32_t cluster[n];
    float centres[2 * dim];
    double inertia = -1;
    dsl_cluster_options o;
    CHECK_OK(dsl_cluster(rows, n, dim, 2, NULL, NULL, cluster, n, centres, 2 * dim, &inertia));
    CHECK(cluster[0] == cluster[2] && cluster[3] == cluster[5] && cluster[0] != cluster[5] && inertia > 0 && inertia < 1);
    DSL_INIT(&o);
    o.restarts = 1;
    o.seed = 3;
    CHECK_OK(dsl_cluster(rows, n, dim, n, &o, NULL, cluster, n, NULL, 0, &inertia));
    CHECK(inertia < 1e-9);
    CHECK_STATUS(dsl_cluster(rows, n, dim, n + 1, NULL, NULL, cluster, n, NULL, 0, NULL), DSL_STATUS_INVALID, "7 clusters");
    CHECK_STATUS(dsl_cluster(rows, n, 0, 1, NULL, NULL, cluster, n, NULL, 0, NULL), DSL_STATUS_INVALID, "embedding_dim");
    CHECK_STATUS(dsl_cluster(rows, n, dim, 2, NULL, NULL, cluster, n - 1, NULL, 0, NULL), DSL_STATUS_BUFFER_TOO_SMALL, "room");
    CHECK_STATUS(dsl_cluster(rows, n, dim, 2, NULL, NULL, cluster, n, centres, 3, NULL), DSL_STATUS_BUFFER_TOO_SMALL, "room");
    o.device = "cuda";
    CHECK_STATUS(dsl_cluster(rows, n, dim, 2, &o, NULL, cluster, n, NULL, 0, NULL), DSL_STATUS_DEVICE, "cuda");
    o.device = NULL;
    o.restarts = -1;
    CHECK_STATUS(dsl_cluster(rows, n, dim, 2, &o, NULL, cluster, n, NULL, 0, NULL), DSL_STATUS_INVALID, "restarts");
}

int main(void) {
    arc();
    adding();
    searching();
    clustering();
    CHECK(dsl_live_handles() == 0);
    return finish();
}
