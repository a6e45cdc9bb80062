"""The table of the shop, and the tables of workflows."""

from django.db import migrations, models

from oban_pro import schema


class Migration(migrations.Migration):
    """The first one."""

    initial = True
    operations = [
        migrations.CreateModel(
            "Order",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("items", models.JSONField()),
                ("total", models.IntegerField()),
                ("shipped", models.IntegerField(default=0)),
            ],
        ),
        migrations.RunSQL([schema.install_sql()], [schema.uninstall_sql()]),
    ]
