/* Making tables, and handing them over. */
#include "columns.h"

Table *new_table(const char *formats, int top, int hot) {
    int named = (int)strlen(formats);
    Table *table = named + hot <= MAX_COLUMNS ? calloc(1, sizeof *table) : NULL;
    if (!table) return NULL;
    table->top = top;
    table->named = named;
    table->hot = hot;
    for (int i = 0; i < named + hot; i++) {
        Column *column = &table->columns[i];
        int32_t start = 0;
        column->format = i < named ? formats[i] : 'u';
        if (strchr("zu+", column->format)) put(&column->offsets, &start, 4);
    }
    return table;
}

void nest(Table *table, int outer, int first, int count) {
    table->columns[outer].first = first;
    table->columns[outer].count = count;
}

void free_table(Table *table) {
    if (!table) return;
    for (int i = 0; i < table->named + table->hot; i++) {
        free(table->columns[i].valid.data);
        free(table->columns[i].offsets.data);
        free(table->columns[i].data.data);
    }
    free(table);
}

static void release_column(struct ArrowArray *array) {
    array->release = NULL;
} /* its memory is the table's */

static void release_table(struct ArrowArray *array) {
    array->release = NULL;
    free_table(array->private_data);
}

static struct ArrowArray *exported(Table *table, int which) {
    Column *column = &table->columns[which];
    struct ArrowArray *array = &column->array;
    int buffers = 0;
    column->buffers[buffers++] = column->nulls ? column->valid.data : NULL;
    if (strchr("zu+", column->format)) column->buffers[buffers++] = column->offsets.data;
    if (!strchr("+s", column->format)) column->buffers[buffers++] = column->data.data;
    for (int i = 0; i < column->count; i++) column->inside[i] = exported(table, column->first + i);
    array->length = column->rows;
    array->null_count = column->nulls;
    array->n_buffers = buffers;
    array->buffers = column->buffers;
    array->n_children = column->count;
    array->children = column->count ? column->inside : NULL;
    array->release = release_column;
    return array;
}

int64_t hand_over(Table *table, struct ArrowArray *to) {
    int64_t bytes = 0;
    for (int i = 0; i < table->named + table->hot; i++) {
        const Column *column = &table->columns[i];
        if (column->valid.failed || column->offsets.failed || column->data.failed) return -1;
        bytes += column->valid.size + column->offsets.size + column->data.size;
    }
    for (int i = 0; i < table->top + table->hot; i++)
        table->children[i] = exported(table, i < table->top ? i : table->named + i - table->top);
    memset(to, 0, sizeof *to);
    to->length = table->columns[0].rows;
    to->n_buffers = 1;
    to->buffers = table->buffers;
    to->n_children = table->top + table->hot;
    to->children = table->children;
    to->release = release_table;
    to->private_data = table;
    return bytes;
}
