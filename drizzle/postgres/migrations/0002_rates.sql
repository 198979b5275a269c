CREATE TABLE "rates" (
	"bucket" text PRIMARY KEY NOT NULL,
	"count" bigint NOT NULL,
	"until" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "flows" ADD COLUMN "opener" text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX "rates_until" ON "rates" USING btree ("until");--> statement-breakpoint
CREATE INDEX "flows_opener" ON "flows" USING btree ("opener","expires_at");