CREATE INDEX IF NOT EXISTS "connections_state" ON "connections" USING btree ("state","id");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "runs_created" ON "runs" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "runs_ended" ON "runs" USING btree ("state","created_at","id") WHERE "runs"."active_key" is null;